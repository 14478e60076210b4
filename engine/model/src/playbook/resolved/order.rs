//! The order of execution: the list's own, but for steps that have to wait for later ones.

use std::collections::BTreeSet;

/// An order, and the cycles that stood in its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Every index once. Members of a cycle stand in list order.
    pub(super) order: Vec<usize>,
    /// Indices that wait for each other, each for the next one. No index is in two of them.
    pub(super) cycles: Vec<Vec<usize>>,
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
    let mut done: BTreeSet<usize> = order.iter().copied().collect();
    let stuck: Vec<usize> = (0..before.len()).filter(|i| !done.contains(i)).collect();
    let cycles = stuck.iter().filter_map(|start| cycle(before, &mut done, *start)).collect();
    order.extend(stuck);
    Order { order, cycles }
}

/// Walks from a stuck entry along what it waits for until it meets itself, and marks its way as done. None: an earlier
/// walk came by.
fn cycle(before: &[BTreeSet<usize>], done: &mut BTreeSet<usize>, start: usize) -> Option<Vec<usize>> {
    let mut walk = vec![start];
    while let Some(last) = walk.last().copied().filter(|last| !done.contains(last)) {
        let Some(next) = before[last].iter().find(|n| !done.contains(n)).copied() else { break };
        if let Some(at) = walk.iter().position(|i| *i == next) {
            done.extend(&walk);
            return Some(walk.split_off(at));
        }
        walk.push(next);
    }
    done.extend(walk);
    None
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
        type Row = (&'static [&'static [usize]], &'static [usize], &'static [&'static [usize]]);
        let rows: [Row; 7] = [
            (&[], &[], &[]),
            (&[&[], &[], &[]], &[0, 1, 2], &[]),
            (&[&[2], &[], &[]], &[1, 2, 0], &[]),
            (&[&[], &[3], &[], &[0]], &[0, 2, 3, 1], &[]),
            (&[&[1], &[0]], &[0, 1], &[&[0, 1]]),
            (&[&[], &[3], &[1], &[2, 0], &[3]], &[0, 1, 2, 3, 4], &[&[1, 3, 2]]),
            (&[&[1], &[0], &[0], &[4], &[3]], &[0, 1, 2, 3, 4], &[&[0, 1], &[3, 4]]),
        ];
        for (before, expected, cycles) in rows {
            let cycles = cycles.iter().map(|cycle| cycle.to_vec()).collect();
            assert_eq!(order(before), Order { order: expected.into(), cycles }, "{before:?}");
        }
    }

    proptest! {
        #[test]
        fn every_entry_comes_once_and_after_what_it_waits_for(
            edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..30),
        ) {
            let mut before = vec![BTreeSet::new(); 12];
            edges.iter().filter(|(a, b)| a != b).for_each(|(a, b)| _ = before[*a].insert(*b));
            let Order { order, cycles } = of(&before);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..12).collect::<Vec<_>>());
            let place = |n: &usize| order.iter().position(|o| o == n);
            let kept = before.iter().enumerate().all(|(i, needed)| needed.iter().all(|n| place(n) < place(&i)));
            prop_assert_eq!(kept, cycles.is_empty());
            for cycle in cycles {
                for (i, at) in cycle.iter().enumerate() {
                    prop_assert!(before[*at].contains(&cycle[(i + 1) % cycle.len()]));
                }
            }
        }
    }
}
