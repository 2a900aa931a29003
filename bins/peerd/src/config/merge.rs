//! The layers laid over each other, and everything that is wrong with them gathered into one report.

use std::collections::BTreeMap;
use std::path::Path;

use figment::Figment;
use figment::providers::Serialized;
use toml::{Table, Value};

use super::certificates;
use super::environment::{self, Variables};
use super::file::ConfigFile;
use super::flags::{self, Flags};
use super::key_path::KeyPath;
use super::keys::{Node, keys, node, variable};
use super::layer::Layer;
use super::paths::ResolvedPaths;
use super::problem::{ConfigErrors, Finding, Place, Problem, Spot};
use super::secret::{Secret, SecretError, SecretSource};
use super::setting::Shape;
use super::sources::{SecretUse, Sources};
use super::validate::{Verdict, judge};
use super::{Config, Loaded};

/// The layers, and the means to say where in them a value stands.
#[derive(Default)]
pub(crate) struct Merge {
    file: Option<ConfigFile>,
    variables: Variables,
    flags: Flags,
    /// Indexed by [`FILE`], [`ENVIRONMENT`] and [`FLAGS`]: from the lowest to the highest.
    layers: [Layer; 3],
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Every secret in force, to tell a change of one.
    secrets: BTreeMap<KeyPath, Secret>,
    /// Settings whose meaning is lost; a second complaint about them would be noise.
    doubtful: Vec<KeyPath>,
}

impl Merge {
    /// Reads the layers and checks each by itself.
    pub(crate) fn of(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut merge = Self::default();
        if let Some((path, text)) = sources.read_file()? {
            let (file, layer) = ConfigFile::parse(&path, text).map_err(ConfigErrors::new)?;
            merge.file = Some(file);
            merge.lay(FILE, layer);
        }
        let (layer, variables) = environment::read(&sources.environment, merge.layers[FILE].table());
        merge.variables = variables;
        merge.lay(ENVIRONMENT, layer);
        let lower = [merge.layers[FILE].table(), merge.layers[ENVIRONMENT].table()];
        let (mut layer, mut flags) = flags::read(&sources.overrides, &sources.current_dir, &lower);
        merge.prefer_passed_sockets(sources, &mut layer, &mut flags);
        merge.flags = flags;
        merge.lay(FLAGS, layer);
        merge.let_higher_layers_win();
        merge.fetch_secrets(sources);
        merge.drop_incomplete_tables();
        Ok(merge)
    }

    /// Deserializes what is left and judges it as a whole.
    pub(crate) fn finish(mut self, sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let config = match self.extract() {
            Ok(config) => config,
            Err(error) => {
                // Every leaf has been read before, so this is the exception; still a report, not a panic.
                error
                    .into_iter()
                    .for_each(|error| self.refuse(&Finding::new(Spot::Nowhere, error.to_string())));
                return Err(ConfigErrors::new(self.problems));
            }
        };
        let paths = match ResolvedPaths::resolve(&config, sources) {
            Ok(paths) => paths,
            Err(finding) => {
                self.refuse(&finding);
                return Err(ConfigErrors::new(self.problems));
            }
        };
        let Verdict { errors, mut warnings, away } = judge(&config, &paths);
        let (typed, expected): (Vec<_>, Vec<_>) =
            away.into_iter().partition(|finding| matches!(self.place(finding).place, Place::Flag(_)));
        warnings.extend(expected);
        for finding in errors.into_iter().chain(typed) {
            if !self.is_doubtful(&finding) {
                self.refuse(&finding);
            }
        }
        if !self.problems.is_empty() {
            return Err(ConfigErrors::new(self.problems));
        }
        warnings.iter().for_each(|finding| self.warn(finding));
        self.warnings.sort();
        let file = self.file.as_ref().map(|file| file.path().to_owned());
        let (origins, certificates) = (self.origins(), certificates::digests(&config));
        let Self { warnings, secrets, .. } = self;
        Ok(Loaded { config, warnings, file, paths, origins, secrets, certificates })
    }

    /// Puts the addresses of sockets that were passed over whatever was to be bound, and says so where that differs.
    fn prefer_passed_sockets(&mut self, sources: &Sources, layer: &mut Layer, flags: &mut Flags) {
        let passed = [("server", &sources.passed.peer), ("admin", &sources.passed.admin)];
        for (section, addresses) in passed.into_iter().filter(|(_, addresses)| !addresses.is_empty()) {
            let path = KeyPath::new([section, "listen"]);
            let list = Value::from(addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
            let [file, environment, _] = &self.layers;
            let set = [&*layer, environment, file].into_iter().find_map(|layer| layer.value(&path));
            if set.is_some_and(|set| *set != list) {
                let message =
                    format!("has no effect: the service manager passed sockets that listen on {list}");
                let help = "set ListenStream= of the socket unit, or disable the unit to let this hold";
                self.warn(&Finding::at(&path, message).help(help));
            }
            layer.withdraw(&path);
            layer.put(&path, list);
            flags.insert(path, PASSED);
        }
    }

    /// Takes a layer in. What is wrong with it is placed now, while no higher layer hides where it stands.
    fn lay(&mut self, index: usize, mut layer: Layer) {
        let (findings, doubtful) = layer.take_findings();
        findings.iter().for_each(|finding| self.refuse(finding));
        self.doubtful.extend(doubtful);
        self.layers[index] = layer;
    }

    /// Takes out of each layer what a higher one sets: a list or a table of headers is replaced as a whole, and a
    /// secret that is not used is not fetched.
    fn let_higher_layers_win(&mut self) {
        for higher in 1..self.layers.len() {
            let (lower, rest) = self.layers.split_at_mut(higher);
            for path in rest[0].set() {
                for layer in lower.iter_mut() {
                    layer.withdraw(path);
                }
                if let Some(file) = &mut self.file {
                    file.forget(path);
                }
                if self.flags.contains_key(path) {
                    self.variables.remove(path);
                }
            }
        }
    }

    /// Puts the secrets in the place of where they are to be found.
    fn fetch_secrets(&mut self, sources: &Sources) {
        let mut literal = None;
        for index in [FILE, ENVIRONMENT, FLAGS] {
            for path in self.layers[index].set().to_vec() {
                let secret = matches!(node(&path.keys()), Node::Setting(key) if key.is_secret());
                let Some(value) = self.layers[index].value(&path).filter(|_| secret).cloned() else {
                    continue;
                };
                self.layers[index].withdraw(&path);
                let optional = matches!(node(&path.keys()), Node::Setting(key) if !key.is_required());
                if optional && value.as_str() == Some("") {
                    // Empty text where a secret may be missing says that there is none.
                    continue;
                }
                let (mut warnings, mut fetched) = (Vec::new(), Vec::new());
                match fetch(&path, &value, sources, &mut warnings, &mut fetched) {
                    Ok(value) => {
                        self.layers[index].put(&path, value);
                        self.secrets.extend(fetched);
                    }
                    Err(finding) => {
                        self.refuse(&finding);
                        self.doubtful.push(path.clone());
                    }
                }
                warnings.iter().for_each(|finding| self.warn(finding));
                let in_the_open =
                    index == FILE && SecretSource::from_value(&value).is_ok_and(|s| s.is_literal());
                if in_the_open && self.file.as_ref().is_some_and(|file| is_open_to_others(file.path())) {
                    literal.get_or_insert(path);
                }
            }
        }
        if let Some(path) = literal {
            let message = "this secret can be read by everyone on this machine, as the whole file can";
            self.warn(&Finding::at(&path, message).help("chmod 600 the file, or write { file = \"/path\" }"));
        }
    }

    /// Refuses tables without a required key, and takes them out so that the rest can be judged.
    fn drop_incomplete_tables(&mut self) {
        for key in keys().filter(|key| key.is_required()) {
            let Some((section, required)) = key.path().split_once(".NAME.") else { continue };
            for entry in self.entries(section) {
                let path = entry.key(required);
                if self.layers.iter().any(|layer| layer.sets(&path)) {
                    continue;
                }
                if !self.doubtful.contains(&path) {
                    let spot = Spot::Values(vec![path.clone()]);
                    let finding = Finding::new(spot, format!("[{entry}] needs `{required}`"));
                    let variable = variable(path.keys().into_iter());
                    self.refuse(&finding.help(format!("or set {variable}")));
                }
                self.layers.iter_mut().for_each(|layer| layer.withdraw(&entry));
                self.doubtful.push(entry);
            }
        }
    }

    /// The tables with a name in a section, whichever layer made them.
    fn entries(&self, section: &str) -> Vec<KeyPath> {
        let tables =
            self.layers.iter().filter_map(|layer| layer.table().get(section).and_then(Value::as_table));
        let mut entries =
            tables.flat_map(Table::keys).map(|name| KeyPath::new([section, name])).collect::<Vec<_>>();
        entries.sort();
        entries.dedup();
        entries
    }

    fn extract(&self) -> Result<Config, Box<figment::Error>> {
        let [file, environment, flags] = &self.layers;
        let defaults = Serialized::defaults(Config::default());
        Figment::from(defaults).merge(file).merge(environment).merge(flags).extract().map_err(Box::new)
    }

    fn is_doubtful(&self, finding: &Finding) -> bool {
        let Spot::Values(paths) = &finding.spot else { return false };
        paths.iter().any(|path| self.doubtful.iter().any(|doubtful| path.starts_with(doubtful)))
    }

    fn refuse(&mut self, finding: &Finding) {
        self.problems.push(self.place(finding));
    }

    fn warn(&mut self, finding: &Finding) {
        self.warnings.push(self.place(finding));
    }

    fn place(&self, finding: &Finding) -> Problem {
        let place = match &finding.spot {
            Spot::Name(path) => self.file.as_ref().and_then(|file| file.name(path)),
            Spot::Values(paths) => {
                let exact = paths.iter().find_map(|path| self.value_place(path));
                exact.or_else(|| paths.iter().find_map(|path| self.table_place(path)))
            }
            Spot::Variable(name) => Some(Place::Variable(name.clone())),
            Spot::Flag(flag) => Some(Place::Flag(flag)),
            Spot::Nowhere => None,
        };
        Problem {
            place: place.unwrap_or(Place::Default),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }

    /// Where a value, or the setting it is a part of, was set.
    fn value_place(&self, path: &KeyPath) -> Option<Place> {
        let mut path = path.clone();
        loop {
            if let Some(flag) = self.flags.get(&path) {
                return Some(Place::Flag(flag));
            }
            if let Some(variable) = self.variables.get(&path) {
                return Some(Place::Variable(variable.clone()));
            }
            if let Some(place) = self.file.as_ref().and_then(|file| file.value(&path)) {
                return Some(place);
            }
            path = path.parent()?;
            if matches!(node(&path.keys()), Node::Table | Node::Named) {
                return None;
            }
        }
    }

    /// Where the table around a value begins, or what made it.
    fn table_place(&self, path: &KeyPath) -> Option<Place> {
        let table = path.parent()?;
        let in_file = self.file.as_ref().and_then(|file| file.name(&table));
        let by_flag =
            || self.flags.iter().find(|(set, _)| set.starts_with(&table)).map(|(_, flag)| Place::Flag(flag));
        let by_variable = || {
            let inside = self.variables.iter().find(|(set, _)| set.starts_with(&table));
            inside.map(|(_, name)| Place::Variable(name.clone()))
        };
        in_file.or_else(by_variable).or_else(by_flag)
    }

    fn origins(&self) -> BTreeMap<KeyPath, Place> {
        let set = self.layers.iter().flat_map(Layer::set);
        set.filter_map(|path| Some((path.clone(), self.value_place(path)?))).collect()
    }
}

/// Fetches the secret, or the secrets, of one setting. In place of one that is not fetched stands its own path, which no
/// other has.
fn fetch(
    path: &KeyPath,
    value: &Value,
    sources: &Sources,
    warnings: &mut Vec<Finding>,
    fetched: &mut Vec<(KeyPath, Secret)>,
) -> Result<Value, Finding> {
    let mut one = |path: &KeyPath, value: &Value| {
        let source = SecretSource::from_value(value).map_err(|message| Finding::at(path, message))?;
        if sources.secrets == SecretUse::Ignored && !source.is_literal() {
            return Ok(Value::from(path.to_string()));
        }
        let secret = match source.resolve(&sources.environment) {
            Err(error @ SecretError::NoCredentials { .. }) if sources.secrets == SecretUse::Reviewed => {
                let message =
                    format!("{error}; only the daemon can see it, as its service manager passes it");
                warnings.push(Finding::at(path, message));
                return Ok(Value::from(path.to_string()));
            }
            outcome => outcome.map_err(|error| Finding { help: error.help(), ..Finding::at(path, error) })?,
        };
        fetched.push((path.clone(), secret.clone()));
        if let SecretSource::File(file) = &source
            && is_open_to_others(file)
        {
            let message = format!("{} can be read by everyone on this machine", file.display());
            warnings.push(Finding::at(path, message).help(format!("chmod 600 {}", file.display())));
        }
        Ok(Value::from(secret.expose()))
    };
    match (node(&path.keys()), value) {
        (Node::Setting(key), Value::Table(table)) if key.shape() == Shape::SecretTable => {
            let entry = |(name, value): (&String, &Value)| Ok((name.clone(), one(&path.key(name), value)?));
            table.iter().map(entry).collect::<Result<_, _>>().map(Value::Table)
        }
        _ => one(path, value),
    }
}

/// Whether a secret lies open. Container runtimes mount theirs readable, but for one container only.
pub(crate) fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
    mode & 0o004 != 0 && !file.starts_with("/run/secrets")
}

/// Who set the address of a socket that was passed.
const PASSED: &str = "socket of the service manager";
const FILE: usize = 0;
const ENVIRONMENT: usize = 1;
const FLAGS: usize = 2;
