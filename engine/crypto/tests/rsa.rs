//! RSA against published vectors (RFC 7515, 7516, 7520), against another library, and against its own laws.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use sealbook_crypto::rsa::{Padding, RsaAesWrap, RsaBits, RsaComponents, RsaError, RsaKey, RsaPublic};
use sealbook_crypto::{BadKey, BadSignature};
use std::sync::LazyLock;

/// A private key as printed in an RFC: n, d, p, q, dp, dq, qi in base64url; the exponent is always AQAB.
type Printed = [&'static str; 7];

/// RFC 7515, appendix A.2.1.
const RFC_7515: Printed = [
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
];

/// Parts that fit together although the first factor is a product of two primes of 512 bits: made for this test.
const COMPOSITE: Printed = [
    "nnSmCXlsFmwwChbbATfaeqhd4yDOCJiLvvVSVJaln6wXwGvAKAOLNxFZzNE_Ptq58XAZDq6Cmdvm7QeiZS7Q1ZjpTTopPwz-4gdr7TKx9phFSjgkyriYWVnCczYV2Qq6joN3662N18OzXvzPSucg1q4YS4v32nGXVsmG2Nv86AphBRcB8XpP4OTjn2USOTALGmuoHrfRAEbAeaa38HylBP4vDkrQ-WOi4yBqy2bqneUwniPzFYQsHb3oA-LlimMZtZOOUFdxWATQu-JXEUzzCk_hDy_s4zcEWOZl6DzXwKzBYGm6USLz3CFIbqfdSRVjyLT6eMRCH15iK4Mss8XZww",
    "YwORHSp6mChSfHt7rm8wXqUGxf6hwE1SRakWITVhmTz4Oo0aLebI_0ggTRQT6TrUJkJd5ga2JV58FnFG0ONIK7C5WECXtYZxXtw0XKvo-KZ95brfgq2GxY6JK2UIke9aU-Ni9ConEESBuUFQZwW2R2_STqLP5fhFET4svSX6CyQ1WR3rx94zdM88LzAy6Vr4IEp_XqlTscndWaQaWBP5kaJDLDrt9SM-UzeC2utkm-JyxXVsWcEWjlkbY6fjg34nlPOa5U_v2LGC_9_F1zyvdujo56PRCvxSA1QyKxZqO3ubh8sbD4EO0PBK01lUr0xQPNTKYNcXj7_zjNAlzlQ2QQ",
    "z5HxLaA1zS8t5ieIAlq6GQzYGMjv-fjsTffbfvSau-PpfxC53w89sY1ONH-IHjVeJEyCcXoJC6Jo8hU5lGJAjz_cwYRvUZmTIBOpOmhMmBduP8bd9R5BMhurNcWKyYcE_E0mGDBFFaQG9CGfWNBLl4StynUjCIdS2vu_ZtxdGBU",
    "w20gTDRmS91bRBeEbnpN7a6KnDr4lbJNTNPmmmB2beuL4XWmyRszRg-4kbLzjjNff7El-IkktUOsUR7M4RBR4YHlgpOHLD4Pf3BYSEZdyBj8iVMK8yA-mq425yAw_0KrrT_U2AXJH96XR7nHTfUOagoV2Glww1P8GrxRryWDCHc",
    "IWUpmF2eSlS83bqed0KBjmYynko10dHqsuCdv986xd_1QSw_u1OIaXiCjI-4JqQPcWed1QP9UJHgsJIZoXXtTR7JNZlJD6fVs-N15p_BMvcSFdC5BSbI9nbdJNmTarj-ZFlFN78MXl71f3GpYXChuM7v5xLRgB3FhtXaBYKOt8E",
    "nLcHHnUqz42sYZdmWN31XjQI7a4QqKL6gDCxjXzrm8w3OU8Kt9z7KiTzQsu5qoAiBhk-NOdtq3qgVdEYRSe8MdXkAelijaUa8nxaH2NmU09OPKV-c2eZLJumZYQYJqsFVwKIIc_J8Keksx0U6bwpmfmKeShdCBZyZdI8wvKW-JM",
    "KeY5FSPUf3iufMz59IOiB4zdnfEvzNlSsc4bV07Dyx2oLXpkqn_eKoF5M5AfmooPlUCXTNjqm46RS9e2hRxicHRb0ZJgufvWdhceO8e5n9CKUEUrDirBK0fFs2xuA1jC5Ypl6pri9yUDViymhX-nch_oNQfuvji72qIdvbsJuR8",
];

/// RFC 7516, appendix A.1.3.
const RFC_7516: Printed = [
    "oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5StowjzGy-_bq6Gw",
    "kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOAbgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE3DzgrTjgyQ",
    "1r52Xk46c-LsfB5P442p7atdPUrxQSy4mti_tZI3Mgf2EuFVbUoDBvaRQ-SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv_hI2_1eTSPVZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN_rKrbfDIwUbTrjjgieRbwC6Cl0",
    "wLb35x7hmQWZsWJmB_vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx_8Fyw1YYa9XGrGnDew00J28cRUoeBB_jKI1oma0Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtc",
    "ZK-YwE7diUh0qR1tR7w8WHtolDx3MZ_OTowiFvgfeQ3SiresXjm9gZ5KLhMXvo-uz-KUJWDxS5pFQ_M0evdo1dKiRTjVw_x4NyqyXPM5nULPkcpU827rnpZzAJKpdhWAgqrXGKAECQH0Xt4taznjnd_zVpAmZZq60WPMBMfKcuE",
    "Dq0gfgJ1DdFGXiLvQEZnuKEN0UUmsJBxkjydc3j4ZYdBiMRAy86x0vHCjywcMlYYg4yoC4YZa9hNVcsjqA3FeiL19rk8g6Qn29Tt0cj8qqyFpz9vNDBUfCAiJVeESOjJDZPYHdHY8v1b-o-Z2X5tvLx-TCekf7oxyeKDUqKWjis",
    "VIMpMYbPf47dT1w_zDUXfPimsSegnMOA1zTaX7aGk_8urY6R8-ZW1FxU7AlWAyLWybqq6t16VFd7hQd0y6flUK4SlOydB61gwanOsXGOAOv82cHq0E3eL4HrtZkUuKvnPrMnsUUFlfUdybVzxyjz9JF_XyaY14ardLSjf4L_FNY",
];

/// RFC 7520, section 5.1.1.
const RFC_7520: Printed = [
    "maxhbsmBtdQ3CNrKvprUE6n9lYcregDMLYNeTAWcLj8NnPU9XIYegTHVHQjxKDSHP2l-F5jS7sppG1wgdAqZyhnWvXhYNvcM7RfgKxqNx_xAHx6f3yy7s-M9PSNCwPC2lh6UAkR4I00EhV9lrypM9Pi4lBUop9t5fS9W5UNwaAllhrd-osQGPjIeI1deHTwx-ZTHu3C60Pu_LJIl6hKn9wbwaUmA4cR5Bd2pgbaY7ASgsjCUbtYJaNIHSoHXprUdJZKUMAzV0WOKPfA6OPI4oypBadjvMZ4ZAj3BnXaSYsEZhaueTXvZB4eZOAjIyh2e_VOIKVMsnDrJYAVotGlvMQ",
    "Kn9tgoHfiTVi8uPu5b9TnwyHwG5dK6RE0uFdlpCGnJN7ZEi963R7wybQ1PLAHmpIbNTztfrheoAniRV1NCIqXaW_qS461xiDTp4ntEPnqcKsyO5jMAji7-CL8vhpYYowNFvIesgMoVaPRYMYT9TW63hNM0aWs7USZ_hLg6Oe1mY0vHTI3FucjSM86Nff4oIENt43r2fspgEPGRrdE6fpLc9Oaq-qeP1GFULimrRdndm-P8q8kvN3KHlNAtEgrQAgTTgz80S-3VD0FgWfgnb1PNmiuPUxO8OpI9KDIfu_acc6fg14nsNaJqXe6RESvhGPH2afjHqSy_Fd2vpzj85bQQ",
    "2DwQmZ43FoTnQ8IkUj3BmKRf5Eh2mizZA5xEJ2MinUE3sdTYKSLtaEoekX9vbBZuWxHdVhM6UnKCJ_2iNk8Z0ayLYHL0_G21aXf9-unynEpUsH7HHTklLpYAzOOx1ZgVljoxAdWNn3hiEFrjZLZGS7lOH-a3QQlDDQoJOJ2VFmU",
    "te8LY4-W7IyaqH1ExujjMqkTAlTeRbv0VLQnfLY2xINnrWdwiQ93_VF099aP1ESeLja2nw-6iKIe-qT7mtCPozKfVtUYfz5HrJ_XY2kfexJINb9lhZHMv5p1skZpeIS-GPHCC6gRlKo1q-idn_qxyusfWv7WAxlSVfQfk8d6Et0",
    "UfYKcL_or492vVc0PzwLSplbg4L3-Z5wL48mwiswbpzOyIgd2xHTHQmjJpFAIZ8q-zf9RmgJXkDrFs9rkdxPtAsL1WYdeCT5c125Fkdg317JVRDo1inX7x2Kdh8ERCreW8_4zXItuTl_KiXZNU5lvMQjWbIw2eTx1lpsflo0rYU",
    "iEgcO-QfpepdH8FWd7mUFyrXdnOkXJBCogChY6YKuIHGc_p8Le9MbpFKESzEaLlN1Ehf3B6oGBl5Iz_ayUlZj2IoQZ82znoUrpa9fVYNot87ACfzIG7q9Mv7RiPAderZi03tkVXAdaBau_9vs5rS-7HMtxkVrxSUvJY14TkXlHE",
    "kC-lzZOqoFaZCr5l0tOVtREKoVqaAYhQiqIRGL-MzS4sCmRkxm5vZlXYx6RtE1n_AagjqajlkjieGlxTTThHD8Iga6foGBMaAr5uR1hGQpSc7Gl7CF1DZkBJMTQN6EshYzZfxW08mIO8M6Rzuh0beL6fG9mkDcIyPrBXx2bQ_mM",
];

#[allow(clippy::unwrap_used, reason = "only tests call it")]
fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn components(printed: &Printed) -> RsaComponents {
    let [n, d, p, q, dp, dq, qi] = printed.map(decode);
    let public = RsaPublic { n, e: vec![1, 0, 1] };
    RsaComponents { public, d: d.into(), p: p.into(), q: q.into(), dp: dp.into(), dq: dq.into(), qi: qi.into() }
}

static KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(RsaBits::B2048));
const PADDINGS: [Padding; 4] = [Padding::Pkcs1v15, Padding::OaepSha1, Padding::OaepSha256, Padding::OaepSha384];

#[test]
fn signs_like_rfc_7515() {
    let key = RsaKey::from_components(&components(&RFC_7515)).unwrap();
    let message: &[u8] =
        b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = decode(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
    assert_eq!(key.sign_rs256(message), signature);
    assert_eq!(key.public().verify_rs256(message, &signature), Ok(()));
    assert_eq!(key.public().verify_rs256(b"another message", &signature), Err(BadSignature));
    assert_eq!(KEY.public().verify_rs256(message, &signature), Err(BadSignature));
}

#[test]
fn decrypts_what_the_rfcs_encrypted() {
    let rows = [
        (
            "RSA-OAEP, RFC 7516 A.1",
            &RFC_7516,
            Padding::OaepSha1,
            "OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg",
            hex::decode("b1a1f480548fe1733fb403ff6b9ad4f68a076e5b702e22692f82cb2e7aea40fc").unwrap(),
        ),
        (
            "RSA1_5, RFC 7520 5.1",
            &RFC_7520,
            Padding::Pkcs1v15,
            "laLxI0j-nLH-_BgLOXMozKxmy9gffy2gTdvqzfTihJBuuzxg0V7yk1WClnQePFvG2K-pvSlWc9BRIazDrn50RcRai__3TDON395H3c62tIouJJ4XaRvYHFjZTZ2GXfz8YAImcc91Tfk0WXC2F5Xbb71ClQ1DDH151tlpH77f2ff7xiSxh9oSewYrcGTSLUeeCt36r1Kt3OSj7EyBQXoZlN7IxbyhMAfgIe7Mv1rOTOI5I8NQqeXXW8VlzNmoxaGMny3YnGir5Wf6Qt2nBq4qDaPdnaAuuGUGEecelIO1wx1BpyIfgvfjOhMBs9M8XL223Fg47xlGsMXdfuY-4jaqVw",
            decode("3qyTVhIWt5juqZUCpfRqpvauwB956MEJL2Rt-8qXKSo"),
        ),
    ];
    for (name, printed, padding, ciphertext, expected) in rows {
        let key = RsaKey::from_components(&components(printed)).unwrap();
        assert_eq!(key.decrypt(padding, &decode(ciphertext)).unwrap().expose(), expected, "{name}");
        for other in PADDINGS.into_iter().filter(|other| *other != padding) {
            assert_eq!(key.decrypt(other, &decode(ciphertext)).unwrap_err(), RsaError::Decrypt, "{name}");
        }
    }
}

/// Made with pyca/cryptography 50 over OpenSSL for the key of RFC 7516; ephemeral keys of 256, 192 and 128 bits.
#[test]
fn unwraps_what_openssl_wrapped() {
    let key = RsaKey::from_components(&components(&RFC_7516)).unwrap();
    let rows = [
        (
            RsaAesWrap::Ckm,
            "SGaE0PsWawz7saqsKq2lDgxuhK9XQ5KZKbN7mccvstiZM3eqTaGpWE6IZN8M6l1-TYsOEFDGu5MbZh7WiMlrG5ZG3_5fApl5jkEhjj0h3QbQixp62bMSKHJc9JtggSZq_3pegLPN2dhPY5s5FaZB3iku_EJ1xfPuc5kqksc11zyoARZ9bnumxMI5GWIenH2If9ZT0FIxaqa536PWOM1mqObsPsWsw3xsTxHYzKVQqcQzTJ2aylndpGN1STWBhhRg-VcyaZKuQ_MsgliysUdNL5dV4aFDq2xB_zc6RgLn0o2D-YhxsKMSht6RlOHYnHxdSKYIPPdITSJv2wNsWvNlguFKKhEsrodxcj73cLebEovm0TMnroR3STCL4Up8d8jh",
        ),
        (
            RsaAesWrap::Sha256,
            "idtb_m-Zp95AMB-ujjJ8JALRNvd8Z1NYeGc9j7k4mG1xJRk9YFxkkZ61A3b7OlAAm51wtSTnX-A0QWgIr8l_RMhLogv1gxSq6OyVLur-gAWAyCbPaEqNiqIrJ0GTAODUmcvda5ZdEslnPV-JodfRzNTWkt7jhYWldHukOI0PNzcZkxXz3IUUXaAkLlRm5BUYLO26Do3jUR90RpTVnjLEu1SsgPsRO2AOH0zL8kCf1Msoh1QyVWb3zN0kL42UxCR4w6nAeqDZb_NvrDAUleRseSnXpf-7p5G1tkFyTvGnGORHFq51lXTROYcd3grjpLxVfBb2s7LTzezojGt9fnMBgIDCTwfOP1fMS5pkXg81UolWvyyHd6d8EvVSbXhWoZAk",
        ),
        (
            RsaAesWrap::Sha384,
            "h3zSLyXueoF8MI7QExQ00y26sOCOb_zIWjZ_PgiDID8dXPk6fNtyp8KabrlgJ6y0bAjpKrl2KV6zoUzaHV3O-YY0n3lIxjoW5wspEDV089P-HnbFaR2tNuVugksPaUw3CCRDu4U5KBVOb_dWkvCoTltxl0yCM8Pk-E-AoGWtOZR9TjMLqEt1ilpl3VYpLeN2Pqgj2h5H045AYW9J6PkOYo-ZP4o4YU1abjazT0NZGvPn-KHSIkb-Fq0hsAYcGrTEjYIa8Ad_jHjOsn4KIRoGHogFD1PiRUvcuUium4r_ewSueSa879ptqgC_RCfgxYKyRXQckVY7KPkwpWWHS1ysE25CWheoniVRxNfNuDBOl5N_rT6O0HMgNlLFnJfdaio2",
        ),
    ];
    for (way, blob) in rows {
        let target = way.unwrap(&key, &decode(blob)).unwrap();
        assert_eq!(target.expose(), b"twenty-one bytes long", "{}", way.name());
    }
}

#[test]
fn every_length_and_padding_round_trips_through_pkcs8() {
    for bits in [RsaBits::B2048, RsaBits::B3072, RsaBits::B4096] {
        let made = RsaKey::generate(bits);
        let key = RsaKey::from_pkcs8(made.to_pkcs8().expose()).unwrap();
        assert_eq!((key.bits(), key.public()), (bits, made.public()));
        assert_eq!(
            (key.public().bits(), key.public().n.len(), &key.public().e[..]),
            (Some(bits), bits.bytes(), &[1, 0, 1][..])
        );
        for padding in PADDINGS {
            let longest = vec![0x5a; padding.capacity(bits)];
            for message in [&b""[..], &[0; 32], &longest] {
                let ciphertext = made.public().encrypt(padding, message).unwrap();
                assert_eq!(ciphertext.len(), bits.bytes());
                assert_eq!(key.decrypt(padding, &ciphertext).unwrap().expose(), message, "{bits:?} {padding:?}");
            }
            let too_long = vec![0; longest.len() + 1];
            let expected = RsaError::TooLong { length: too_long.len(), capacity: longest.len() };
            assert_eq!(key.encrypt(padding, &too_long).unwrap_err(), expected);
        }
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let mut crossed = components(&RFC_7515);
    crossed.d = components(&RFC_7516).d;
    let mut swapped = components(&RFC_7515);
    swapped.public = components(&RFC_7520).public;
    for parts in [crossed, swapped] {
        assert_eq!(RsaKey::from_components(&parts).unwrap_err(), BadKey);
    }
    let ed25519 = sealbook_crypto::SigningKey::generate().to_pkcs8();
    let whole = KEY.to_pkcs8();
    for document in [&b""[..], b"junk", ed25519.expose(), &whole.expose()[..whole.len() - 1]] {
        assert_eq!(RsaKey::from_pkcs8(document).unwrap_err(), BadKey);
    }
    for public in [
        RsaPublic { n: vec![], e: vec![1, 0, 1] },
        RsaPublic { n: vec![0xff; 128], e: vec![1, 0, 1] },
        RsaPublic { n: KEY.public().n, e: vec![] },
        RsaPublic { n: KEY.public().n, e: vec![2] },
    ] {
        assert_eq!(public.encrypt(Padding::OaepSha256, b"x").unwrap_err(), RsaError::PublicKey, "{:?}", public.e);
    }
    assert_eq!(RsaBits::from_bits(1024), None);
}

#[test]
fn debug_shows_lengths_only() {
    assert_eq!(format!("{:?} {:?}", *KEY, KEY.public()), "RsaKey(2048 bits, ..) RsaPublic(2048 bits)");
    let shown = format!("{:?}", components(&RFC_7515));
    assert!(shown.contains("d: SecretBytes(..)") && !shown.contains("[18, 174"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn oaep_notices_every_flipped_bit(
        message in proptest::collection::vec(any::<u8>(), 0..=190),
        at in 0usize..256,
        bit in 0u8..8,
    ) {
        let mut ciphertext = KEY.encrypt(Padding::OaepSha256, &message).unwrap();
        let opened = KEY.decrypt(Padding::OaepSha256, &ciphertext).unwrap();
        prop_assert_eq!(opened.expose(), &message[..]);
        ciphertext[at] ^= 1 << bit;
        prop_assert_eq!(KEY.decrypt(Padding::OaepSha256, &ciphertext).unwrap_err(), RsaError::Decrypt);
        prop_assert!(KEY.decrypt(Padding::OaepSha256, &ciphertext[..at]).is_err());
    }

    #[test]
    fn signatures_bind_the_message(message in proptest::collection::vec(any::<u8>(), 0..100), bit in 0u8..8) {
        let mut signature = KEY.sign_rs256(&message);
        prop_assert!(KEY.public().verify_rs256(&message, &signature).is_ok());
        signature[17] ^= 1 << bit;
        prop_assert!(KEY.public().verify_rs256(&message, &signature).is_err());
    }
}

#[test]
fn a_key_that_fits_together_and_does_not_work_is_refused() {
    assert_eq!(RsaKey::from_components(&components(&COMPOSITE)).err(), Some(BadKey));
    assert!(RsaKey::from_components(&components(&RFC_7516)).is_ok());
}
