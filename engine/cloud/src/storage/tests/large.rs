//! A blob of a hundred mebibytes, block by block and range by range.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{blob, outcome, ready};

const BLOCK: usize = 4 << 20;
const BLOCKS: usize = 25;

/// Bytes that differ from block to block and inside of each.
fn content(block: usize) -> Vec<u8> {
    (0..BLOCK).map(|at| (at.wrapping_mul(31) ^ (at >> 11) ^ block.wrapping_mul(97)) as u8).collect()
}

#[tokio::test]
async fn a_hundred_mebibytes() {
    let cloud = ready().await;
    let me = cloud.learner();
    let id = |block: usize| STANDARD.encode(format!("{block:06}"));
    let mut list = "<BlockList>".to_owned();
    for block in 0..BLOCKS {
        let path = format!("/data/large?comp=block&blockid={}", id(block).replace('=', "%3D"));
        assert_eq!(outcome(&blob(&me, "PUT", &path, &[], content(block)).await), "201", "{block}");
        list.push_str(&format!("<Uncommitted>{}</Uncommitted>", id(block)));
    }
    list.push_str("</BlockList>");
    assert_eq!(outcome(&blob(&me, "PUT", "/data/large?comp=blocklist", &[], list).await), "201");
    let head = blob(&me, "HEAD", "/data/large", &[], "").await;
    assert_eq!(head.header("content-length"), (BLOCK * BLOCKS).to_string());
    for block in 0..BLOCKS {
        let range = format!("bytes={}-{}", block * BLOCK, (block + 1) * BLOCK - 1);
        let reply = blob(&me, "GET", "/data/large", &[("x-ms-range", &range)], "").await;
        assert_eq!(reply.status, 206, "{range}");
        assert!(reply.bytes == content(block), "{range}");
    }
    // Across the border of two blocks.
    let range = format!("bytes={}-{}", BLOCK - 3, BLOCK + 2);
    let reply = blob(&me, "GET", "/data/large", &[("range", &range)], "").await;
    assert_eq!(reply.bytes, [&content(0)[BLOCK - 3..], &content(1)[..3]].concat());
}

#[tokio::test]
async fn many_blocks() {
    let cloud = ready().await;
    let me = cloud.learner();
    let id = |block: usize| STANDARD.encode(format!("{block:06}"));
    let mut list = String::new();
    for block in 0..300 {
        let path = format!("/data/many?comp=block&blockid={}", id(block));
        assert_eq!(outcome(&blob(&me, "PUT", &path, &[], block.to_string()).await), "201", "{block}");
        list.insert_str(0, &format!("<Latest>{}</Latest>", id(block)));
    }
    let list = format!("<BlockList>{list}</BlockList>");
    assert_eq!(outcome(&blob(&me, "PUT", "/data/many?comp=blocklist", &[], list).await), "201");
    let expected: String = (0..300).rev().map(|block: usize| block.to_string()).collect();
    assert_eq!(blob(&me, "GET", "/data/many", &[], "").await.bytes, expected);
    let too_many = format!("<BlockList>{}</BlockList>", "<Latest>YQ==</Latest>".repeat(50_001));
    assert_eq!(outcome(&blob(&me, "PUT", "/data/many?comp=blocklist", &[], too_many).await), "400 BlockListTooLong");
    let long = STANDARD.encode([7; 65]);
    let reply = blob(&me, "PUT", &format!("/data/many?comp=block&blockid={long}"), &[], "x").await;
    assert_eq!(outcome(&reply), "400 InvalidQueryParameterValue");
}
