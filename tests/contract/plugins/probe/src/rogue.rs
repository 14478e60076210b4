//! Orders that a good plugin would never carry out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what becomes of it is what is tested")]

use std::hint::black_box;

use serde_json::Value;

pub fn act(what: &str, order: &Value) -> Value {
    let number = |name: &str| order[name].as_u64().unwrap_or_default();
    match what {
        "spin" => loop {
            black_box(0);
        },
        "work" => {
            let mut sum = 0_u64;
            for i in 0..number("rounds") {
                sum = black_box(sum.wrapping_mul(31).wrapping_add(i));
            }
            sum.into()
        }
        "hoard" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "recurse" => deeper(1).into(),
        "panic" => panic!("told to panic"),
        "exit" => std::process::exit(3),
        "print" => {
            print!("to standard output\nand ");
            println!("more");
            eprintln!("\u{1b}[31mto standard error");
            Value::Null
        }
        "hash" => {
            use std::hash::{BuildHasher as _, RandomState};
            // The first state of a process is seeded by the host.
            RandomState::new().hash_one("x").to_string().into()
        }
        "environment" => std::env::vars().count().into(),
        other => panic!("nobody knows how to {other}"),
    }
}

fn deeper(n: u64) -> u64 {
    let frame = black_box([n; 64]);
    if n == 0 { 0 } else { deeper(n + 1) + frame[n as usize % 64] }
}
