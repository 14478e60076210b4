//! A guest: what it sends to its TPM, and what it can do with the answers.

use serde_json::Value;
use tpm2_protocol::basic::TpmList;
use tpm2_protocol::data::{
    Tpm2bNvPublic, Tpm2bPublic, Tpm2bSensitiveCreate, TpmAlgId, TpmRh, TpmSt, TpmaNv, TpmaObject, TpmlPcrSelection,
    TpmsAuthCommand, TpmsNvPublic, TpmsPcrSelect, TpmsPcrSelection, TpmsRsaParms, TpmsSensitiveCreate, TpmtPublic,
    TpmtSigScheme, TpmuPublicId, TpmuPublicParms,
};
use tpm2_protocol::frame::{
    TpmCreatePrimaryCommand, TpmCreatePrimaryResponse, TpmFrame, TpmNvDefineSpaceCommand, TpmNvReadCommand,
    TpmNvReadPublicCommand, TpmNvReadPublicResponse, TpmNvReadResponse, TpmNvWriteCommand, TpmPcrReadCommand,
    TpmPcrReadResponse, TpmQuoteCommand, TpmQuoteResponse, TpmResponse, TpmUnmarshalBody, tpm_marshal_command,
};
use tpm2_protocol::{TpmMarshal, TpmWriter};

use crate::Tee;
use crate::compute::{self, Lab};
use crate::testing::TestCloud;

pub(crate) const OWNER: u32 = TpmRh::Owner as u32;
pub(crate) const NULL: u32 = TpmRh::Null as u32;
pub(crate) const REPORT: u32 = 0x0140_0001;
pub(crate) const USER_DATA: u32 = 0x0140_0002;
pub(crate) const AK_CERTIFICATE: u32 = 0x01c1_01d0;
pub(crate) const AK: u32 = 0x8100_0003;

pub(crate) fn bytes(value: &impl TpmMarshal) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let mut writer = TpmWriter::new(&mut buffer);
    value.marshal(&mut writer).unwrap();
    let length = writer.len();
    buffer.truncate(length);
    buffer
}

/// The empty password.
pub(crate) fn password() -> TpmsAuthCommand {
    TpmsAuthCommand { session_handle: (TpmRh::Pw as u32).into(), ..Default::default() }
}

pub(crate) fn frame(command: &impl TpmFrame, sessions: &[TpmsAuthCommand]) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let mut writer = TpmWriter::new(&mut buffer);
    let tag = if sessions.is_empty() { TpmSt::NoSessions } else { TpmSt::Sessions };
    tpm_marshal_command(command, tag, sessions, &mut writer).unwrap();
    let length = writer.len();
    buffer.truncate(length);
    buffer
}

/// All 24 registers, or those given.
pub(crate) fn registers(numbers: &[usize]) -> TpmlPcrSelection {
    let mut map = [0_u8; 3];
    numbers.iter().for_each(|n| map[n / 8] |= 1 << (n % 8));
    let mut list = TpmList::new();
    let pcr_select = TpmsPcrSelect::try_from(&map[..]).unwrap();
    list.try_push(TpmsPcrSelection { hash: TpmAlgId::Sha256, pcr_select }).unwrap();
    list
}

/// The template of a key that decrypts, with this policy.
pub(crate) fn decryption_key(policy: &[u8]) -> TpmtPublic {
    let user = if policy.is_empty() { TpmaObject::USER_WITH_AUTH } else { TpmaObject::empty() };
    TpmtPublic {
        object_type: TpmAlgId::Rsa,
        name_alg: TpmAlgId::Sha256,
        object_attributes: TpmaObject::FIXED_TPM
            | TpmaObject::FIXED_PARENT
            | TpmaObject::SENSITIVE_DATA_ORIGIN
            | TpmaObject::DECRYPT
            | TpmaObject::NO_DA
            | user,
        auth_policy: policy.try_into().unwrap(),
        parameters: TpmuPublicParms::Rsa(TpmsRsaParms { key_bits: 2048.into(), ..Default::default() }),
        unique: TpmuPublicId::Rsa(Default::default()),
    }
}

pub(crate) struct Guest {
    pub tee: Tee,
}

impl Guest {
    /// Sends a command; the response code, when it is refused.
    pub fn ask<R: TpmUnmarshalBody>(
        &mut self,
        command: &impl TpmFrame,
        sessions: &[TpmsAuthCommand],
    ) -> Result<R, u32> {
        let answer = self.tee.transmit(&frame(command, sessions));
        let response = TpmResponse::cast(&answer).unwrap();
        match response.rc().unwrap().value() {
            0 => Ok(response.unmarshal().unwrap()),
            code => Err(code),
        }
    }

    pub fn read(&mut self, index: u32) -> Result<Vec<u8>, u32> {
        let public: TpmNvReadPublicResponse = self.ask(&TpmNvReadPublicCommand { handles: [index.into()] }, &[])?;
        let size = public.nv_public.inner.data_size.value();
        let mut data = Vec::new();
        while data.len() < usize::from(size) {
            let offset = u16::try_from(data.len()).unwrap();
            let handles = [OWNER.into(), index.into()];
            let part = TpmNvReadCommand { handles, size: (size - offset).min(1024).into(), offset: offset.into() };
            data.extend_from_slice(&self.ask::<TpmNvReadResponse>(&part, &[password()])?.data);
        }
        Ok(data)
    }

    pub fn define(&mut self, index: u32, size: u16, attributes: TpmaNv) -> Result<(), u32> {
        let inner = TpmsNvPublic {
            nv_index: index.into(),
            name_alg: TpmAlgId::Sha256,
            attributes,
            auth_policy: Default::default(),
            data_size: size.into(),
        };
        let public_info = Tpm2bNvPublic { inner };
        let define = TpmNvDefineSpaceCommand { handles: [OWNER.into()], auth: Default::default(), public_info };
        self.ask::<tpm2_protocol::frame::TpmNvDefineSpaceResponse>(&define, &[password()]).map(|_| ())
    }

    pub fn write(&mut self, index: u32, data: &[u8]) -> Result<(), u32> {
        let handles = [OWNER.into(), index.into()];
        let write = TpmNvWriteCommand { handles, data: data.try_into().unwrap(), offset: 0.into() };
        self.ask::<tpm2_protocol::frame::TpmNvWriteResponse>(&write, &[password()]).map(|_| ())
    }

    /// The value of a register.
    pub fn register(&mut self, number: usize) -> Vec<u8> {
        let read = TpmPcrReadCommand { handles: [], pcr_selection_in: registers(&[number]) };
        self.ask::<TpmPcrReadResponse>(&read, &[]).unwrap().pcr_values[0].to_vec()
    }

    /// A quote over all registers: the statement and its signature.
    pub fn quote(&mut self, nonce: &[u8]) -> TpmQuoteResponse {
        let all: Vec<usize> = (0..24).collect();
        let quote = TpmQuoteCommand {
            handles: [AK.into()],
            qualifying_data: nonce.try_into().unwrap(),
            in_scheme: TpmtSigScheme::default(),
            pcr_select: registers(&all),
        };
        self.ask(&quote, &[password()]).unwrap()
    }

    pub fn create(&mut self, hierarchy: u32, template: TpmtPublic) -> Result<TpmCreatePrimaryResponse, u32> {
        let create = TpmCreatePrimaryCommand {
            handles: [hierarchy.into()],
            in_sensitive: Tpm2bSensitiveCreate { inner: TpmsSensitiveCreate::default() },
            in_public: Tpm2bPublic { inner: template },
            outside_info: Default::default(),
            creation_pcr: TpmList::new(),
        };
        self.ask(&create, &[password()])
    }
}

/// A confidential machine that runs; `change` alters its body first.
pub(crate) async fn machine(lab: &Lab<'_>, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let nic = lab.nic(&format!("{name}-nic")).await;
    let mut body = compute::confidential(&nic);
    change(&mut body);
    let made = lab.vm("PUT", name, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    lab.cloud.advance(2);
    lab.id(&format!("Microsoft.Compute/virtualMachines/{name}"))
}

pub(crate) fn guest(cloud: &TestCloud, id: &str) -> Guest {
    Guest { tee: Tee::open(&cloud.cloud, id).unwrap() }
}

/// Asks the metadata service of a machine.
pub(crate) async fn metadata(cloud: &TestCloud, id: Option<&str>, path: &str) -> (u16, Value) {
    let request = http::Request::get(format!("http://169.254.169.254{path}")).header("metadata", "true");
    let mut request = request.body(bytes::Bytes::new()).unwrap();
    if let Some(id) = id {
        request.extensions_mut().insert(cloud.cloud.machine(id).unwrap().unwrap());
    }
    let answer = cloud.cloud.handle(request).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}
