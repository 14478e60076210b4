//! Data keys by themselves; what customers' keys do to them is tested where they are used.

use super::{CustomerKey, DataKey, Locked, Protector, adopt, check_again, create, destroy, due, get, members, unlock};
use crate::keyvault::cmk::CmkError;
use crate::testing;

#[test]
fn a_data_key_belongs_to_its_owner_and_goes_with_it() {
    let cloud = testing::cloud();
    cloud.within(|cx| {
        let one = create(cx, "volume/1").unwrap();
        let two = create(cx, "volume/2").unwrap();
        let opened = unlock(cx, &one).unwrap();
        assert_eq!(opened.expose(), unlock(cx, &get(cx.tx, "volume/1").unwrap()).unwrap().expose());
        assert_ne!(opened.expose(), unlock(cx, &two).unwrap().expose());
        let stolen = DataKey { owner: "volume/2".to_owned(), protector: one.protector };
        assert!(matches!(unlock(cx, &stolen), Err(Locked::Internal(_))), "sealed for another owner");
        destroy(cx, "volume/1").unwrap();
        assert!(get(cx.tx, "volume/1").is_err());
    });
}

#[test]
fn a_customers_key_that_is_not_there_changes_nothing() {
    let cloud = testing::cloud();
    let me = cloud.seed.user_oid.clone();
    cloud.within(|cx| {
        let mut key = create(cx, "volume/1").unwrap();
        let opened = unlock(cx, &key).unwrap();
        for (principal, nobody) in [("nobody", true), (&me[..], false)] {
            let by = CustomerKey {
                principal: principal.to_owned(),
                vault_uri: "https://none.vault.azure.net".to_owned(),
                name: "cmk".to_owned(),
                ..CustomerKey::default()
            };
            match adopt(cx, &mut key, &opened, by) {
                Err(Locked::IdentityGone) => assert!(nobody),
                Err(Locked::Key(CmkError::VaultNotFound)) => assert!(!nobody),
                other => panic!("{other:?}"),
            }
            assert!(matches!(get(cx.tx, "volume/1").unwrap().protector, Protector::Service { .. }));
        }
        assert!(members(cx.tx, "/set").unwrap().is_empty());
    });
}

#[test]
fn what_is_due_is_asked_by_kind() {
    let cloud = testing::cloud();
    cloud.within(|cx| {
        for owner in ["storage-account/1", "storage-account-2/1", "volume/1"] {
            let key = CustomerKey { next_check: Some(5), ..CustomerKey::default() };
            let protector = Protector::Customer { wrapped: vec![1], key };
            let mut key = DataKey { owner: owner.to_owned(), protector };
            check_again(cx, &mut key, 10).unwrap();
        }
        for (kind, now, expected) in
            [("storage-account", 9, 0), ("storage-account", 10, 1), ("volume", 10, 1), ("other", 10, 0)]
        {
            assert_eq!(due(cx.tx, kind, now).unwrap().len(), expected, "{kind} {now}");
        }
    });
}
