//! Numbers for the provider's names of the pieces of its answers.

use std::collections::VecDeque;

use voice_turns::Item;

/// Names older than this many are forgotten: an answer has one or two pieces.
const REMEMBERED: usize = 16;

/// The names of the latest items.
#[derive(Debug, Default)]
pub(crate) struct Items {
    known: VecDeque<(Item, Box<str>)>,
    next: u32,
}

impl Items {
    /// The number of a name, a new one if need be.
    pub(crate) fn number(&mut self, name: &str) -> Item {
        if let Some((item, _)) = self.known.iter().rev().find(|(_, known)| &**known == name) {
            return *item;
        }
        let item = Item(self.next);
        self.next += 1;
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((item, name.into()));
        item
    }

    /// The number of something that has no name.
    pub(crate) const fn unnamed(&mut self) -> Item {
        let item = Item(self.next);
        self.next += 1;
        item
    }

    /// Another session has names of its own: the same name is another item from now on.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// The name of a number.
    pub(crate) fn name(&self, item: Item) -> Option<&str> {
        let (_, name) = self.known.iter().rev().find(|(known, _)| *known == item)?;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_while_it_is_remembered_and_memory_is_bounded() {
        let mut items = Items::default();
        let first = items.number("item_1");
        assert_eq!(items.number("item_1"), first);
        assert_eq!(items.name(first), Some("item_1"));
        for number in 2..100 {
            items.number(&format!("item_{number}"));
        }
        assert_eq!(items.known.len(), REMEMBERED);
        assert_eq!(items.name(first), None);
        let again = items.number("item_1");
        assert_ne!(again, first);
        let unnamed = items.unnamed();
        assert_eq!(items.name(unnamed), None);
        assert_ne!(items.number("item_100"), unnamed);
        items.forget();
        assert_ne!(items.number("item_1"), again);
    }
}
