//! Whom a row is about, and what it changes: a pure decision over what the database knows.
//!
//! A person is found by external id; without one, or when nobody has it, by the primary number among the
//! contacts that have no external id either (a row with an id) or among all (a row without). Several people may
//! share a number, so two different ids never are one person.
//!
//! The first row about a person counts; later ones of the same file are duplicates. Across batches the database
//! remembers who was named by this import; inside a batch [`Seen`] does. A dry run writes nothing, so there
//! [`Seen`] lives as long as the import, and the same rules give the same counters.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Candidate, Channel, ConsentStatus, ConsentType, Outcome, Statement};

/// A contact as the database has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) external_id: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) tier: Option<String>,
    pub(crate) attributes: Map<String, Value>,
    pub(crate) archived: bool,
    pub(crate) tokens: HashSet<Uuid>,
    pub(crate) primary: Option<Uuid>,
    pub(crate) member: Option<Member>,
    pub(crate) consents: HashSet<Said>,
}

/// A place in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// The import that named the contact last.
    pub(crate) import: Option<Uuid>,
    pub(crate) priority: i16,
}

/// What makes two statements of a contact one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Said {
    pub(crate) kind: ConsentType,
    pub(crate) status: ConsentStatus,
    pub(crate) channel: Option<Channel>,
    pub(crate) purpose: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) captured_at: DateTime<Utc>,
}

impl From<&Statement> for Said {
    fn from(statement: &Statement) -> Self {
        Self {
            kind: statement.kind,
            status: statement.status,
            channel: statement.channel,
            purpose: statement.purpose.clone(),
            source: statement.source.clone(),
            captured_at: statement.captured_at,
        }
    }
}

/// What the database knows about the people and numbers of a batch.
#[derive(Debug, Default)]
pub(crate) struct Known {
    contacts: HashMap<Uuid, Stored>,
    by_external_id: HashMap<String, Uuid>,
    by_primary: HashMap<Uuid, Vec<Uuid>>,
    /// Numbers nobody may call for this list.
    pub(crate) suppressed: HashSet<Uuid>,
}

impl Known {
    pub(crate) fn insert(&mut self, id: Uuid, contact: Stored) {
        if let Some(external_id) = &contact.external_id {
            self.by_external_id.insert(external_id.clone(), id);
        }
        if let Some(primary) = contact.primary {
            self.by_primary.entry(primary).or_default().push(id);
        }
        self.contacts.insert(id, contact);
    }

    pub(crate) fn contacts_mut(&mut self) -> &mut HashMap<Uuid, Stored> {
        &mut self.contacts
    }
}

/// Who was named since the database was last written to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    // Digests of 64 bits: a dry run keeps one for every person of the file.
    external_ids: HashSet<u64>,
    digest: RandomState,
    phones: HashMap<Uuid, Holders>,
    contacts: HashSet<Uuid>,
    adopted: HashSet<Uuid>,
}

/// Which kinds of new contacts have a number as their primary one.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    without_external_id: bool,
}

impl Seen {
    fn has_external_id(&self, external_id: &str) -> bool {
        self.external_ids.contains(&self.digest.hash_one(external_id))
    }

    fn name(&mut self, external_id: Option<&str>, primary: Option<Uuid>) {
        if let Some(external_id) = external_id {
            self.external_ids.insert(self.digest.hash_one(external_id));
        }
        if let Some(primary) = primary {
            self.phones.entry(primary).or_default().without_external_id |= external_id.is_none();
        }
    }
}

/// What is to be done with a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Decision {
    /// A new contact.
    Create,
    /// A known contact that changes.
    Update(Uuid, Change),
    /// A known contact the row says nothing new about; only remembered as named.
    Unchanged(Uuid),
    /// About the person of an earlier row.
    InFileDuplicate,
    /// Not to be called.
    Suppressed,
}

impl Decision {
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Create => Outcome::Created,
            Self::Update(..) => Outcome::Updated,
            Self::Unchanged(_) | Self::InFileDuplicate => Outcome::Duplicate,
            Self::Suppressed => Outcome::Suppressed,
        }
    }
}

/// What a row changes about a contact.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// A field of the contact itself.
    pub(crate) fields: bool,
    /// Numbers it did not have, as positions in the candidate.
    pub(crate) numbers: Vec<usize>,
    /// The first of them becomes the primary one.
    pub(crate) primary: bool,
    /// Statements it had not made, as positions in the candidate.
    pub(crate) consents: Vec<usize>,
    /// It enters the list, or its priority there changes.
    pub(crate) member: bool,
}

/// Decides about one row and remembers it.
pub(crate) fn resolve(candidate: &Candidate, known: &Known, seen: &mut Seen, import: Uuid) -> Decision {
    if candidate
        .numbers
        .iter()
        .all(|number| known.suppressed.contains(&number.token))
    {
        return Decision::Suppressed;
    }
    let primary = candidate
        .numbers
        .first()
        .map(|number| number.token)
        .unwrap_or_default();
    let named = |seen: &Seen, id: &Uuid| {
        let stored = known.contacts.get(id).and_then(|contact| contact.member);
        seen.contacts.contains(id) || stored.is_some_and(|member| member.import == Some(import))
    };
    let owners = known
        .by_primary
        .get(&primary)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = match &candidate.external_id {
        Some(external_id) => {
            if seen.has_external_id(external_id) {
                return Decision::InFileDuplicate;
            }
            match known.by_external_id.get(external_id) {
                Some(id) => Some(*id),
                None => {
                    if seen
                        .phones
                        .get(&primary)
                        .is_some_and(|holders| holders.without_external_id)
                    {
                        return Decision::InFileDuplicate;
                    }
                    let nameless = |id: &&Uuid| {
                        known
                            .contacts
                            .get(*id)
                            .is_some_and(|contact| contact.external_id.is_none())
                            && !seen.adopted.contains(*id)
                    };
                    let owners: Vec<Uuid> = owners.iter().filter(nameless).copied().collect();
                    if owners.iter().any(|id| named(seen, id)) {
                        return Decision::InFileDuplicate;
                    }
                    nearest(&owners, known)
                }
            }
        }
        None => {
            if seen.phones.contains_key(&primary) || owners.iter().any(|id| named(seen, id)) {
                return Decision::InFileDuplicate;
            }
            nearest(owners, known)
        }
    };
    let Some((id, stored)) = found.and_then(|id| known.contacts.get(&id).map(|stored| (id, stored))) else {
        seen.name(candidate.external_id.as_deref(), Some(primary));
        return Decision::Create;
    };
    if named(seen, &id) {
        return Decision::InFileDuplicate;
    }
    let change = compare(candidate, stored);
    seen.contacts.insert(id);
    if stored.external_id.is_none() && candidate.external_id.is_some() {
        seen.adopted.insert(id);
        seen.name(candidate.external_id.as_deref(), None);
    }
    if change.primary {
        let external_id = candidate.external_id.as_deref().or(stored.external_id.as_deref());
        seen.name(external_id, Some(primary));
    }
    if change == Change::default() {
        Decision::Unchanged(id)
    } else {
        Decision::Update(id, change)
    }
}

/// The contact that is in the list already, else the oldest.
fn nearest(owners: &[Uuid], known: &Known) -> Option<Uuid> {
    let in_list = |id: &Uuid| {
        known
            .contacts
            .get(id)
            .is_some_and(|contact| contact.member.is_some())
    };
    owners.iter().copied().min_by_key(|id| (!in_list(id), *id))
}

/// What the candidate says and the contact does not know. An empty cell says nothing.
fn compare(candidate: &Candidate, stored: &Stored) -> Change {
    let differs = |said: Option<&str>, kept: &Option<String>| said.is_some() && said != kept.as_deref();
    let fields = stored.archived
        || differs(candidate.external_id.as_deref(), &stored.external_id)
        || differs(candidate.first_name.as_deref(), &stored.first_name)
        || differs(candidate.last_name.as_deref(), &stored.last_name)
        || differs(candidate.email.as_deref(), &stored.email)
        || differs(candidate.locale.as_deref(), &stored.locale)
        || differs(candidate.timezone.map(|zone| zone.name()), &stored.timezone)
        || differs(candidate.tier.as_deref(), &stored.tier)
        || candidate
            .attributes
            .iter()
            .any(|(name, value)| stored.attributes.get(name) != Some(value));
    let numbers: Vec<usize> = candidate
        .numbers
        .iter()
        .enumerate()
        .filter(|(_, number)| !stored.tokens.contains(&number.token))
        .map(|(at, _)| at)
        .collect();
    let consents = candidate
        .consents
        .iter()
        .enumerate()
        .filter(|(_, statement)| !stored.consents.contains(&Said::from(*statement)))
        .map(|(at, _)| at)
        .collect();
    Change {
        fields,
        primary: stored.primary.is_none() && numbers.first() == Some(&0),
        numbers,
        consents,
        member: stored.member.is_none_or(|member| {
            candidate
                .priority
                .is_some_and(|priority| priority != member.priority)
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use voice_telephony::PhoneTokenKey;

    use super::*;
    use crate::{Counters, Numbers, Region};

    const IMPORT: Uuid = Uuid::from_u128(7);

    /// People by the few ids and numbers the schedule picks from.
    fn person(external_id: Option<u8>, numbers: &[u8], name: u8) -> Candidate {
        let cells = Numbers::new(Arc::new(PhoneTokenKey::new([1; 32])), Region::parse("CZ"));
        Candidate {
            external_id: external_id.map(|id| format!("e{id}")),
            first_name: (name > 0).then(|| format!("n{name}")),
            numbers: numbers
                .iter()
                .map(|number| cells.cell(&format!("60212345{number}")).remove(0).unwrap())
                .collect(),
            ..Candidate::default()
        }
    }

    /// Does what the tables do.
    #[derive(Clone, Default)]
    struct Tables {
        contacts: Vec<(Uuid, Stored)>,
        suppressed: HashSet<Uuid>,
    }

    impl Tables {
        fn known(&self) -> Known {
            let mut known = Known {
                suppressed: self.suppressed.clone(),
                ..Known::default()
            };
            for (id, contact) in &self.contacts {
                known.insert(*id, contact.clone());
            }
            known
        }

        fn apply(&mut self, person: &Candidate, decision: &Decision) {
            let (id, change) = match decision {
                Decision::Create => {
                    let id = Uuid::from_u128(1000 + self.contacts.len() as u128);
                    self.contacts.push((id, Stored::default()));
                    (id, compare(person, &Stored::default()))
                }
                Decision::Update(id, change) => {
                    let copy = Change {
                        numbers: change.numbers.clone(),
                        consents: Vec::new(),
                        ..*change
                    };
                    (*id, copy)
                }
                Decision::Unchanged(id) => (*id, Change::default()),
                Decision::InFileDuplicate | Decision::Suppressed => return,
            };
            let contact = &mut self
                .contacts
                .iter_mut()
                .find(|(other, _)| *other == id)
                .unwrap()
                .1;
            contact.external_id = person.external_id.clone().or(contact.external_id.take());
            contact.first_name = person.first_name.clone().or(contact.first_name.take());
            contact
                .tokens
                .extend(change.numbers.iter().map(|at| person.numbers[*at].token));
            if change.primary {
                contact.primary = person.numbers.first().map(|number| number.token);
            }
            contact.member = Some(Member {
                import: Some(IMPORT),
                priority: 50,
            });
        }
    }

    /// Imports in batches of `size`, or without ever writing.
    fn import(tables: &Tables, file: &[Candidate], size: Option<usize>) -> (Counters, Tables) {
        let (mut tables, mut counters, mut seen) = (tables.clone(), Counters::default(), Seen::default());
        for batch in file.chunks(size.unwrap_or(2)) {
            let known = tables.known();
            let decisions: Vec<Decision> = batch
                .iter()
                .map(|person| resolve(person, &known, &mut seen, IMPORT))
                .collect();
            for (person, decision) in batch.iter().zip(&decisions) {
                counters.count(decision.outcome());
                if size.is_some() {
                    tables.apply(person, decision);
                }
            }
            if size.is_some() {
                seen = Seen::default();
            }
        }
        (counters, tables)
    }

    fn existing(people: &[(Candidate, bool)]) -> Tables {
        let mut tables = Tables::default();
        for (at, (person, in_list)) in people.iter().enumerate() {
            let taken = |external_id: &Option<String>| {
                external_id.is_some()
                    && tables
                        .contacts
                        .iter()
                        .any(|(_, other)| other.external_id == *external_id)
            };
            if taken(&person.external_id) {
                continue;
            }
            let mut contact = Stored {
                external_id: person.external_id.clone(),
                first_name: person.first_name.clone(),
                tokens: person.numbers.iter().map(|number| number.token).collect(),
                primary: person.numbers.first().map(|number| number.token),
                ..Stored::default()
            };
            contact.member = in_list.then_some(Member {
                import: None,
                priority: 50,
            });
            tables.contacts.push((Uuid::from_u128(at as u128 + 1), contact));
        }
        tables
    }

    #[test]
    fn a_person_is_found_by_id_then_by_primary_number() {
        let tables = existing(&[(person(Some(1), &[1], 1), true), (person(None, &[2], 2), true)]);
        let decide =
            |candidate: &Candidate| resolve(candidate, &tables.known(), &mut Seen::default(), IMPORT);
        assert_eq!(
            decide(&person(Some(1), &[1], 1)),
            Decision::Unchanged(Uuid::from_u128(1))
        );
        assert!(
            matches!(decide(&person(Some(1), &[3], 0)), Decision::Update(id, _) if id == Uuid::from_u128(1))
        );
        // Another id is another person, also at the same number.
        assert_eq!(decide(&person(Some(2), &[1], 1)), Decision::Create);
        // A contact without an id takes the one that comes with its number.
        assert!(
            matches!(decide(&person(Some(2), &[2], 2)), Decision::Update(id, _) if id == Uuid::from_u128(2))
        );
        assert_eq!(
            decide(&person(None, &[1], 1)),
            Decision::Unchanged(Uuid::from_u128(1))
        );
        // Secondary numbers identify nobody.
        assert_eq!(decide(&person(None, &[3, 1], 1)), Decision::Create);
    }

    #[test]
    fn only_what_is_new_is_a_change_and_an_empty_cell_says_nothing() {
        let tables = existing(&[(person(Some(1), &[1], 1), true)]);
        let change =
            |candidate: &Candidate| match resolve(candidate, &tables.known(), &mut Seen::default(), IMPORT) {
                Decision::Update(_, change) => change,
                Decision::Unchanged(_) => Change::default(),
                other => panic!("{other:?}"),
            };
        assert_eq!(change(&person(Some(1), &[1], 0)), Change::default());
        assert_eq!(
            change(&person(Some(1), &[1], 2)),
            Change {
                fields: true,
                ..Change::default()
            }
        );
        assert_eq!(
            change(&person(Some(1), &[1, 4], 0)),
            Change {
                numbers: vec![1],
                ..Change::default()
            }
        );
    }

    #[test]
    fn a_person_is_suppressed_only_when_every_number_is() {
        let mut tables = Tables::default();
        tables.suppressed.insert(person(None, &[1], 0).numbers[0].token);
        let decide =
            |candidate: &Candidate| resolve(candidate, &tables.known(), &mut Seen::default(), IMPORT);
        assert_eq!(decide(&person(None, &[1], 0)), Decision::Suppressed);
        assert_eq!(decide(&person(None, &[1, 2], 0)), Decision::Create);
    }

    fn people(most: usize) -> impl Strategy<Value = Vec<Candidate>> {
        let one = (
            prop::option::of(0_u8..3),
            prop::collection::vec(0_u8..4, 1..3),
            0_u8..3,
        )
            .prop_map(|(external_id, mut numbers, name)| {
                numbers.dedup();
                person(external_id, &numbers, name)
            });
        prop::collection::vec(one, 0..most)
    }

    proptest! {
        /// CON-02
        #[test]
        fn counters_add_up_and_neither_batches_nor_a_dry_run_change_them(
            before in people(6), in_list: [bool; 6], file in people(14), suppressed in prop::option::of(0_u8..4),
        ) {
            let before: Vec<_> = before.into_iter().zip(in_list).collect();
            let mut tables = existing(&before);
            tables.suppressed.extend(suppressed.map(|number| person(None, &[number], 0).numbers[0].token));
            let (counters, after) = import(&tables, &file, Some(1));
            prop_assert_eq!(counters.read(), file.len() as u64);
            for size in [Some(3), Some(100), None] {
                let (other, _) = import(&tables, &file, size);
                prop_assert_eq!(other, counters, "{:?}", size);
            }
            // The next import of the same file finds everybody.
            let forget = |(id, mut contact): (Uuid, Stored)| {
                contact.member = contact.member.map(|member| Member { import: None, ..member });
                (id, contact)
            };
            let again = Tables { contacts: after.contacts.into_iter().map(forget).collect(), ..after };
            prop_assert_eq!(import(&again, &file, Some(3)).0.created, 0);
        }
    }
}
