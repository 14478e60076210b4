use std::fs;
use std::sync::Barrier;

use super::*;

#[test]
fn a_home_keeps_its_key_and_its_derived_keys() {
    let folder = tempfile::tempdir().unwrap();
    let first = Home::open(folder.path().join("home")).unwrap();
    let again = Home::open(folder.path().join("home")).unwrap();
    assert_eq!(first.id(), again.id());
    assert_eq!(first.derive("a"), again.derive("a"));
    assert_ne!(first.derive("a"), first.derive("b"));
    let other = Home::open(folder.path().join("other")).unwrap();
    assert_ne!(first.id(), other.id());
    assert_ne!(first.derive("a"), other.derive("a"));
    assert!(!format!("{first:?}").contains(&hex::encode(first.derive("a"))));
}

#[test]
fn processes_that_start_at_once_get_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(8);
    let ids: Vec<String> = std::thread::scope(|scope| {
        let open = || {
            barrier.wait();
            Home::open(folder.path()).unwrap().id().to_owned()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_in() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("deep/home");
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    let set = |name: &str, mode| {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    Home::open(&folder).unwrap();
    assert_eq!(mode("home.key"), 0o600);
    for name in ["", "runs", "store", "cache", "artifacts", "cloud"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    set("runs", 0o755);
    set("", 0o755);
    Home::open(&folder).unwrap();
    assert_eq!((mode("runs"), mode("")), (0o700, 0o755), "the root's mode is its owner's business");
    set("home.key", 0o644);
    let problem = Home::open(&folder).unwrap_err();
    assert_eq!(problem.code, codes::HOME_KEY);
    assert!(problem.fix.unwrap().starts_with("chmod 600 "));
}

#[test]
fn a_key_that_can_t_be_used_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home.key");
    Home::open(folder.path()).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let rows = [
        (String::new(), "it is not a home key"),
        ("junk".into(), "it is not a home key"),
        (good.replace("key 1", "key 2"), "its format is 2; this Sealbook reads 1"),
        (format!("{}\n{}\n", lines[0], lines[1]), "it is cut short"),
        (format!("{}\n!\n{}\n", lines[0], lines[2]), "it is not base64"),
        (format!("{}\nAAAA\n{}\n", lines[0], lines[2]), "its secret has the wrong length"),
    ];
    for (text, why) in rows {
        fs::write(&path, &text).unwrap();
        let problem = Home::open(folder.path()).unwrap_err();
        assert_eq!((problem.code, problem.why[0].as_str()), (codes::HOME_KEY, why));
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "a damaged key is never replaced");
    }
}

#[test]
fn stored_content_is_checked_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let digest = home.store().put(b"component").unwrap();
    assert_eq!(home.store().put(b"component").unwrap(), digest);
    assert_eq!(home.store().get(&digest).unwrap(), b"component");
    let path = folder.path().join("store").join(digest.hex());
    fs::write(&path, b"Component").unwrap();
    assert_eq!(home.store().get(&digest).unwrap_err().code, codes::JOURNAL_DAMAGED);
    home.store().put(b"component").unwrap();
    assert_eq!(home.store().get(&digest).unwrap(), b"component", "storing it again heals it");
    fs::remove_file(&path).unwrap();
    assert!(!home.store().has(&digest));
    assert_eq!(home.store().get(&digest).unwrap_err().why, ["it is missing"]);
    let names: Vec<_> = fs::read_dir(folder.path().join("store")).unwrap().collect();
    assert!(names.is_empty(), "no litter: {names:?}");
}
