//! Who may do what where: a directory made quick to ask.

use std::collections::HashMap;

use besa_intel::account::{Role, Scope};
use besa_intel::{Access, Collection, CollectionKey, Directory};

/// The one who asks, already authenticated.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// What the token allows, if it came by one.
    pub scope: Option<Scope>,
    /// The one collection the token is for.
    pub only: Option<CollectionKey>,
    /// For whom the account stands: a member's identity, `public`, or nothing for the node's own people.
    pub member: Option<String>,
}

/// A directory with its indexes.
#[derive(Debug, Default)]
pub struct Registry {
    directory: Directory,
    /// By root, then id or alias.
    names: HashMap<String, HashMap<String, usize>>,
    access: HashMap<String, HashMap<CollectionKey, Access>>,
}

impl Registry {
    /// Indexes a directory.
    pub fn new(directory: Directory) -> Self {
        let mut names: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (index, collection) in directory.collections.iter().enumerate() {
            let root = names.entry(collection.root.clone()).or_default();
            // An id wins over an alias of the same text.
            if let Some(alias) = &collection.alias {
                root.entry(alias.clone()).or_insert(index);
            }
            root.insert(collection.id.clone(), index);
        }
        let mut access: HashMap<String, HashMap<CollectionKey, Access>> = HashMap::new();
        for (collection, user, granted) in &directory.access {
            access.entry(user.clone()).or_default().insert(*collection, *granted);
        }
        Self { directory, names, access }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What a caller may do in a collection.
    pub fn access(&self, caller: &Caller, collection: CollectionKey) -> Access {
        if caller.only.is_some_and(|only| only != collection) {
            return Access::default();
        }
        let given = self.access.get(&caller.name).and_then(|mine| mine.get(&collection));
        let mut access = given.copied().unwrap_or_default();
        match caller.role {
            Role::Administrator => access = Access { read: true, write: true },
            Role::Analyst => access.read = true,
            Role::Contributor => {}
            Role::Reader => access.write = false,
        }
        if caller.member.is_some() && access.read {
            // Who reads does not write: what came back would show what is held already.
            access.write = false;
        }
        if let Some(scope) = caller.scope {
            access.read &= scope.reads();
            access.write &= scope.writes();
        }
        access
    }

    /// The collections of a root that a caller may use in any way.
    pub(crate) fn visible(&self, caller: &Caller, root: &str) -> Vec<(&Collection, Access)> {
        let of_root = self.directory.collections.iter().filter(|collection| collection.root == root);
        let with_access = of_root.map(|collection| (collection, self.access(caller, collection.key)));
        with_access.filter(|(_, access)| access.read || access.write).collect()
    }

    /// Whether a caller may know of a root: it is the default, or holds a collection of theirs.
    pub(crate) fn shows_root(&self, caller: &Caller, root: &str) -> bool {
        let there = self.directory.roots.iter().any(|name| name == root);
        there && (root == besa_intel::DEFAULT_ROOT || !self.visible(caller, root).is_empty())
    }

    /// The collection of a name that a caller may use in any way.
    pub(crate) fn collection(
        &self,
        caller: &Caller,
        root: &str,
        name: &str,
    ) -> Option<(&Collection, Access)> {
        let names = self.names.get(root)?;
        let index = names.get(name).or_else(|| names.get(&name.to_ascii_lowercase()))?;
        let collection = self.directory.collections.get(*index)?;
        let access = self.access(caller, collection.key);
        (access.read || access.write).then_some((collection, access))
    }
}
