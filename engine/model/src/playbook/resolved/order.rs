//! The order of execution: the list's own, but for steps that have to wait for later ones.

use std::collections::BTreeSet;

/// An order, and a cycle that stood in its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Every index once. Members of a cycle stand in list order.
    pub(super) order: Vec<usize>,
    /// Indices that wait for each other, each for the next one.
    pub(super) cycle: Option<Vec<usize>>,
}

/// Orders the list so that each entry comes after those it waits for, and otherwise as early as it was written.
pub(super) fn of(before: &[BTreeSet<usize>]) -> Order {
    let mut waiting: Vec<usize> = before.iter().map(BTreeSet::len).collect();
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); before.len()];
    for (i, needed) in before.iter().enumerate() {
        needed.iter().for_each(|n| after[*n].push(i));
    }
    let mut ready: BTreeSet<usize> = (0..before.len()).filter(|i| waiting[*i] == 0).collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for i in &after[next] {
            waiting[*i] -= 1;
            if waiting[*i] == 0 {
                ready.insert(*i);
            }
        }
    }
    if order.len() == before.len() {
        return Order { order, cycle: None };
    }
    let done: BTreeSet<usize> = order.iter().copied().collect();
    let stuck: Vec<usize> = (0..before.len()).filter(|i| !done.contains(i)).collect();
    let cycle = cycle(before, &done, stuck[0]);
    order.extend(stuck);
    Order { order, cycle: Some(cycle) }
}

/// Walks from a stuck entry along what it waits for until it meets itself.
fn cycle(before: &[BTreeSet<usize>], done: &BTreeSet<usize>, start: usize) -> Vec<usize> {
    let mut walk = vec![start];
    loop {
        let last = walk[walk.len() - 1];
        // A stuck entry waits for a stuck entry, or it would not be stuck.
        let Some(next) = before[last].iter().find(|n| !done.contains(n)).copied() else { return walk };
        if let Some(at) = walk.iter().position(|i| *i == next) {
            return walk.split_off(at);
        }
        walk.push(next);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(before: &[&[usize]]) -> Order {
        of(&before.iter().map(|b| b.iter().copied().collect()).collect::<Vec<_>>())
    }

    #[test]
    fn the_list_is_kept_where_it_can_be() {
        type Row = (&'static [&'static [usize]], &'static [usize], Option<&'static [usize]>);
        let rows: [Row; 6] = [
            (&[], &[], None),
            (&[&[], &[], &[]], &[0, 1, 2], None),
            (&[&[2], &[], &[]], &[1, 2, 0], None),
            (&[&[], &[3], &[], &[0]], &[0, 2, 3, 1], None),
            (&[&[1], &[0]], &[0, 1], Some(&[0, 1])),
            (&[&[], &[3], &[1], &[2, 0], &[3]], &[0, 1, 2, 3, 4], Some(&[1, 3, 2])),
        ];
        for (before, expected, cycle) in rows {
            assert_eq!(order(before), Order { order: expected.into(), cycle: cycle.map(Into::into) }, "{before:?}");
        }
    }

    proptest! {
        #[test]
        fn every_entry_comes_once_and_after_what_it_waits_for(
            edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..30),
        ) {
            let mut before = vec![BTreeSet::new(); 12];
            edges.iter().filter(|(a, b)| a != b).for_each(|(a, b)| _ = before[*a].insert(*b));
            let Order { order, cycle } = of(&before);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..12).collect::<Vec<_>>());
            match cycle {
                None => for (i, needed) in before.iter().enumerate() {
                    let place = |n: &usize| order.iter().position(|o| o == n);
                    prop_assert!(needed.iter().all(|n| place(n) < place(&i)));
                },
                Some(cycle) => for (i, at) in cycle.iter().enumerate() {
                    prop_assert!(before[*at].contains(&cycle[(i + 1) % cycle.len()]));
                },
            }
        }
    }
}
