// For every set of keys that can be stolen: what the thief makes a device do, by forging all that
// the keys allow and handing it to the code that runs on devices. The table in docs/stolen-keys.md
// is what came out. SKERRY_WRITE_DOCS=1 writes it.

#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <tuple>

#include "signed_fleet.hpp"

namespace skerry::test {
namespace {

using namespace security;
using namespace security::tuf;

const std::string kWanted = "policy/current";

// What the thief wants to be true on the device.
struct Wish {
  std::string path;
  Json entry;
  std::string content;
  // The role whose key would be enough to list the path.
  std::string role;
};

class Fleet {
 public:
  Fleet() {
    const std::vector<Part::Delegation> trusted{{"acme", keys.team, "models/acme/*/*"},
                                                {"beta", keys.beta, "models/beta/*/*"},
                                                {"security", keys.security, "policy/*"},
                                                {"runtime", keys.runtime, "runtimes/*/*"}};
    delegations = Part::delegations(trusted);
    image.put("root",
              Part::root(1, all(keys.root), 2, all(keys.targets), 2, keys.snapshot, keys.timestamp),
              all(keys.root));
    Json::Object top = Part::of("targets", 1, kStart + 365 * kDay);
    top["targets"] = Json::Object{};
    top["delegations"] = delegations;
    image.put("targets", top, all(keys.targets));
    list(image, "acme", 1, {{old.path, old.entry()}, {running.path, running.entry()}}, keys.team);
    list(image, "beta", 1, {{other.path, other.entry()}}, keys.beta);
    list(image, "security", 1, {{kWanted, Part::target("rules", 1)}}, keys.security);
    list(image,
         "runtime",
         1,
         {{"runtimes/llamacpp/1.0.0", Part::target("engine", 1)}},
         keys.runtime);
    image.seal(1, keys.snapshot, keys.timestamp, kStart);

    // A week later both teams published: acme withdrew a version, beta added one.
    newer = image;
    list(newer, "acme", 2, {{running.path, running.entry()}}, keys.team);
    list(newer, "beta", 2, {{other.path, other.entry()}, {fixed.path, fixed.entry()}}, keys.beta);
    newer.seal(2, keys.snapshot, keys.timestamp, kStart + kDay);

    Repository::direct_root(director, 1, keys.director_root, keys.director, {keys.director_root});
    Repository::direct(director,
                       1,
                       Repository::assignment(running.path, running.entry(), 1),
                       keys.director,
                       kStart);

    FilesFetcher images{image.served};
    Client image_client{image_store, images};
    EXPECT_TRUE(image_client.bootstrap(image.roles.at("root").second));
    const auto refreshed = image_client.refresh({kStart, TimeQuality::kAttested});
    EXPECT_TRUE(refreshed) << refreshed.error().to_string();
    EXPECT_TRUE(image_client.lookup(running.path));
    EXPECT_TRUE(image_client.lookup(other.path));
    FilesFetcher directions{director.served};
    Client director_client{director_store, directions};
    EXPECT_TRUE(director_client.bootstrap(director.roles.at("root").second));
    EXPECT_TRUE(director_client.refresh({kStart, TimeQuality::kAttested}));
    EXPECT_TRUE(catalogue.activate(running.content));
  }

  static std::vector<SignerPtr> all(const std::array<SignerPtr, 3>& keys) {
    return {keys.begin(), keys.end()};
  }

  static void list(Repository& repository,
                   const std::string& role,
                   std::int64_t version,
                   const Json::Object& targets,
                   const SignerPtr& key) {
    Json::Object part = Part::of("targets", version, kStart + 365 * kDay);
    part["targets"] = targets;
    repository.put(role, part, {key});
  }

  FleetKeys keys;
  DeviceCatalogue catalogue;
  SignedModel old = catalogue.model("acme", "a", "1.0.0", 1);
  SignedModel running = catalogue.model("acme", "a", "1.1.0", 2);
  SignedModel other = catalogue.model("beta", "b", "1.0.0", 1);
  SignedModel fixed = catalogue.model("beta", "b", "1.1.0", 2);
  SignedModel evil = catalogue.model("acme", "a", "6.6.6", 666, "made by the thief");
  SignedModel foreign = catalogue.model("beta", "b", "6.6.6", 666, "made by the thief");
  Json delegations;
  Repository image;
  Repository newer;
  Repository director;
  MemoryMetadataStore image_store;
  MemoryMetadataStore director_store;
};

class Thief {
 public:
  Thief(Fleet& fleet, const Loot& loot) : fleet_(fleet), loot_(loot) {}

  // Every way to have the image repository list the wish. Roles whose keys he lacks he signs with
  // his own.
  std::vector<Files> image_forgeries(const Wish& wish, WallTime now) const {
    std::vector<Files> out{fleet_.image.served, rotated(now, [&](Json::Object& targets) {
                             targets[wish.path] = wish.entry;
                           })};
    Repository by_targets = fleet_.image;
    Json::Object top = Part::of("targets", 2, kStart + 3650 * kDay);
    top["targets"] = Json::Object{{wish.path, wish.entry}};
    top["delegations"] = fleet_.delegations;
    by_targets.put("targets", top, some(fleet_.keys.targets, loot_.targets));
    by_targets.seal(2, snapshot(), timestamp(), now);
    out.push_back(by_targets.served);
    // The role that may list such a path, or for another team's path the stolen team's.
    const std::string role = wish.role == "beta" ? "acme" : wish.role;
    const SignerPtr key = role == "acme" ? team() : role == "security" ? security() : runtime();
    Repository by_role = fleet_.image;
    Fleet::list(by_role, role, 2, Json::Object{{wish.path, wish.entry}}, key);
    by_role.seal(2, snapshot(), timestamp(), now);
    out.push_back(by_role.served);
    return out;
  }

  // Every way to have the director assign it.
  std::vector<Files> director_forgeries(const Json& assigned, WallTime now) const {
    std::vector<Files> out{fleet_.director.served};
    Repository online = fleet_.director;
    Repository::direct(online, 2, assigned, loot_.director ? fleet_.keys.director : own(), now);
    out.push_back(online.served);
    Repository rotated = fleet_.director;
    std::vector<SignerPtr> signers{own()};
    if (loot_.director_root) {
      signers.push_back(fleet_.keys.director_root);
    }
    Repository::direct_root(rotated, 2, own(), own(), signers);
    Repository::direct(rotated, 2, assigned, own(), now);
    out.push_back(rotated.served);
    return out;
  }

  // beta's news with acme's old list.
  std::vector<Files> mixes(WallTime now) const {
    Repository mixed = fleet_.newer;
    mixed.roles["acme"] = fleet_.image.roles.at("acme");
    Repository torn = fleet_.newer;
    torn.served["timestamp.json"] = fleet_.image.served.at("timestamp.json");
    Files swapped = fleet_.newer.served;
    swapped["2.acme.json"] = fleet_.image.served.at("1.acme.json");
    mixed.seal(3, snapshot(), timestamp(), now);
    return {mixed.served, torn.served, swapped, rotated(now, [&](Json::Object& targets) {
              targets[fleet_.old.path] = fleet_.old.entry();
              targets[fleet_.fixed.path] = fleet_.fixed.entry();
            })};
  }

  // What the device has already, with the longest life he can give it.
  std::vector<Files> freezes(WallTime now) const {
    Repository stamped = fleet_.image;
    stamped.stamp(2, timestamp(), now);
    Repository sealed = fleet_.image;
    sealed.seal(2, snapshot(), timestamp(), now);
    return {fleet_.image.served,
            stamped.served,
            sealed.served,
            rotated(now,
                    [&](Json::Object& targets) { targets[fleet_.old.path] = fleet_.old.entry(); })};
  }

 private:
  [[nodiscard]] const SignerPtr& own() const { return fleet_.keys.thief; }
  [[nodiscard]] SignerPtr snapshot() const { return loot_.snapshot ? fleet_.keys.snapshot : own(); }
  [[nodiscard]] SignerPtr timestamp() const {
    return loot_.timestamp ? fleet_.keys.timestamp : own();
  }
  [[nodiscard]] SignerPtr team() const { return loot_.team ? fleet_.keys.team : own(); }
  [[nodiscard]] SignerPtr security() const { return loot_.security ? fleet_.keys.security : own(); }
  [[nodiscard]] SignerPtr runtime() const { return loot_.runtime ? fleet_.keys.runtime : own(); }
  [[nodiscard]] std::vector<SignerPtr> some(const std::array<SignerPtr, 3>& keys, int count) const {
    std::vector<SignerPtr> out{keys.begin(), keys.begin() + count};
    out.push_back(own());
    return out;
  }

  // A next root that hands every role to the thief.
  [[nodiscard]] Files rotated(WallTime now, const std::function<void(Json::Object&)>& fill) const {
    Repository out = fleet_.image;
    out.put("root",
            Part::root(2, {own()}, 1, {own()}, 1, own(), own()),
            some(fleet_.keys.root, loot_.root));
    Json::Object top = Part::of("targets", 2, kStart + 3650 * kDay);
    Json::Object targets;
    fill(targets);
    top["targets"] = std::move(targets);
    out.put("targets", top, {own()});
    out.seal(2, own(), own(), now);
    return out.served;
  }

  Fleet& fleet_;
  const Loot loot_;
};

// A device that has followed honestly so far and is now served by the thief, once for each forgery.
class Victim {
 public:
  explicit Victim(Fleet& fleet) : fleet_(fleet) {}

  using Seen = std::function<bool(Client&, bool refreshed)>;
  // Whether `seen` holds on the device after some of the forgeries.
  bool any_image(const std::vector<Files>& forgeries, WallTime now, const Seen& seen) {
    return any(fleet_.image_store, forgeries, now, seen);
  }
  bool any_director(const std::vector<Files>& forgeries, WallTime now, const Seen& seen) {
    return any(fleet_.director_store, forgeries, now, seen);
  }

  // The wish as the image repository lists it for the device, if it does.
  std::optional<TargetFile> image_lists(const Thief& thief, const Wish& wish, WallTime now) {
    std::optional<TargetFile> found;
    any_image(thief.image_forgeries(wish, now), now, [&](Client& client, bool) {
      const auto target = client.lookup(wish.path);
      if (target && target->stray.empty() && target->file.check(wish.content)) {
        found = target->file;
      }
      return found.has_value();
    });
    return found;
  }

  // The assignment of `path`, if the director gives it to the device.
  std::optional<Assignment> director_assigns(const Thief& thief,
                                             const std::string& path,
                                             const Json& entry,
                                             WallTime now) {
    std::optional<Assignment> found;
    const auto forgeries = thief.director_forgeries(Repository::assignment(path, entry, 2), now);
    any_director(forgeries, now, [&](Client& client, bool refreshed) {
      const auto role =
          client.load_role(assignment_role(kDevice), assignment_path(kDevice, "default"));
      const auto assigned = role ? parse_assignments(kDevice, (*role)->content) : role.error();
      if (refreshed && assigned && assigned->size() == 1 && assigned->front().target == path) {
        found = assigned->front();
      }
      return found.has_value();
    });
    return found;
  }

 private:
  static bool any(const MemoryMetadataStore& trusted,
                  const std::vector<Files>& forgeries,
                  WallTime now,
                  const Seen& seen) {
    for (const Files& files : forgeries) {
      MemoryMetadataStore store = trusted;
      FilesFetcher fetcher{files};
      Client client{store, fetcher};
      const TrustedTime time{now, TimeQuality::kAttested};
      const bool refreshed = client.refresh(time).has_value();
      // As the installer does: what was verified before still counts.
      if ((refreshed || client.load(time)) && seen(client, refreshed)) {
        return true;
      }
    }
    return false;
  }

  Fleet& fleet_;
};

constexpr std::array kCapabilities{
    "run a new model under the team's name",
    "run a new model under another team's name",
    "run an older version of what it runs",
    "run another signed model",
    "stop a model",
    "take a new policy",
    "take a new engine for signed",
    "mix one team's news with another's old list",
    "miss the image repository's news for 20 days unnoticed",
    "miss them for 60 days unnoticed",
    "miss the director's word for 20 days unnoticed",
};
using Reached = std::array<bool, kCapabilities.size()>;

// What must come out, by the roles alone.
Reached expected(const Loot& loot) {
  const bool root = loot.root >= 2;
  const bool online = loot.snapshot && loot.timestamp;
  const bool top = root || (online && loot.targets >= 2);
  const bool directs = loot.director_root || loot.director;
  const auto lists = [&](bool role) { return top || (online && role); };
  return {loot.tls && directs && lists(loot.team),
          loot.tls && directs && top,
          false,
          loot.tls && directs,
          loot.tls && directs,
          loot.tls && lists(loot.security),
          loot.tls && lists(loot.runtime),
          loot.tls && (root || online),
          loot.tls && (root || loot.timestamp),
          loot.tls && (root || online),
          loot.tls && directs};
}

// Mounts the attacks. What depends on the image's keys alone is mounted once for each set of them,
// and so for the director's; whether the two agree, and what the catalogue says, is asked each
// time.
class Heist {
 public:
  Reached reach(const Loot& loot) {
    if (!loot.tls) {
      // His files reach nobody: the device talks to the controller.
      return {};
    }
    return {
        runs(loot, fleet_.evil, "acme"),
        runs(loot, fleet_.foreign, "beta"),
        runs(loot, fleet_.old, "acme"),
        runs(loot, fleet_.other, "beta"),
        assigned(loot, "", Json{}).has_value(),
        listed(loot, {kWanted, Part::target("no rules", 1), "no rules", "security"}).has_value(),
        listed(loot, {"runtimes/llamacpp/6.6.6", Part::target("trap", 1), "trap", "runtime"})
            .has_value(),
        mixes(loot),
        freezes(loot, 20),
        freezes(loot, 60),
        misses_director(loot)};
  }

 private:
  using ImageKeys = std::tuple<int, int, bool, bool, bool, bool, bool>;
  using DirectorKeys = std::pair<bool, bool>;
  static ImageKeys image_keys(const Loot& loot) {
    return {loot.root,
            loot.targets,
            loot.team,
            loot.security,
            loot.runtime,
            loot.snapshot,
            loot.timestamp};
  }

  std::optional<TargetFile> listed(const Loot& loot, const Wish& wish) {
    const std::pair key{image_keys(loot), wish.path};
    if (const auto known = listed_.find(key); known != listed_.end()) {
      return known->second;
    }
    return listed_[key] = victim_.image_lists(Thief{fleet_, loot}, wish, kStart + kDay);
  }

  std::optional<Assignment> assigned(const Loot& loot, const std::string& path, const Json& entry) {
    const std::pair key{DirectorKeys{loot.director_root, loot.director}, path};
    if (const auto known = assigned_.find(key); known != assigned_.end()) {
      return known->second;
    }
    return assigned_[key] =
               victim_.director_assigns(Thief{fleet_, loot}, path, entry, kStart + kDay);
  }

  bool runs(const Loot& loot, const SignedModel& model, const std::string& role) {
    const auto director = assigned(loot, model.path, model.entry());
    const auto image = listed(loot, {model.path, model.entry(), model.content, role});
    if (!director || !image || !check_agreement(*director, model.path, *image, "x86_64")) {
      return false;
    }
    // The counters of a model only grow, so that a second try says the same.
    if (const auto known = activated_.find(model.path); known != activated_.end()) {
      return known->second;
    }
    const bool activated = fleet_.catalogue.activate(model.content).has_value();
    activated_.emplace(model.path, activated);
    return activated;
  }

  bool mixes(const Loot& loot) {
    const auto key = image_keys(loot);
    if (const auto known = mixed_.find(key); known != mixed_.end()) {
      return known->second;
    }
    const WallTime now = kStart + 2 * kDay;
    return mixed_[key] = victim_.any_image(
               Thief{fleet_, loot}.mixes(now), now, [&](Client& client, bool refreshed) {
                 return refreshed && client.lookup(fleet_.fixed.path).has_value() &&
                        client.lookup(fleet_.old.path).has_value();
               });
  }

  bool freezes(const Loot& loot, int days) {
    const std::pair key{image_keys(loot), days};
    if (const auto known = frozen_.find(key); known != frozen_.end()) {
      return known->second;
    }
    const WallTime now = kStart + days * kDay;
    return frozen_[key] = victim_.any_image(
               Thief{fleet_, loot}.freezes(now), now, [&](Client& client, bool refreshed) {
                 return refreshed && client.lookup(fleet_.old.path).has_value();
               });
  }

  bool misses_director(const Loot& loot) {
    const DirectorKeys key{loot.director_root, loot.director};
    if (const auto known = missed_.find(key); known != missed_.end()) {
      return known->second;
    }
    const WallTime now = kStart + 20 * kDay;
    const Json assigned = Repository::assignment(fleet_.running.path, fleet_.running.entry(), 1);
    return missed_[key] =
               victim_.any_director(Thief{fleet_, loot}.director_forgeries(assigned, now),
                                    now,
                                    [](Client&, bool refreshed) { return refreshed; });
  }

  Fleet fleet_;
  Victim victim_{fleet_};
  std::map<std::pair<ImageKeys, std::string>, std::optional<TargetFile>> listed_;
  std::map<std::pair<DirectorKeys, std::string>, std::optional<Assignment>> assigned_;
  std::map<std::string, bool> activated_;
  std::map<ImageKeys, bool> mixed_;
  std::map<std::pair<ImageKeys, int>, bool> frozen_;
  std::map<DirectorKeys, bool> missed_;
};

// 0 to 2 of the root keys, 0 to 2 of the targets keys, and each of eight others: 2304 sets.
std::vector<Loot> every_loot() {
  std::vector<Loot> out;
  for (int root = 0; root <= 2; ++root) {
    for (int targets = 0; targets <= 2; ++targets) {
      for (unsigned bits = 0; bits < 256; ++bits) {
        const auto has = [bits](unsigned bit) { return (bits >> bit & 1U) != 0; };
        out.push_back(
            {root, targets, has(0), has(1), has(2), has(3), has(4), has(5), has(6), has(7)});
      }
    }
  }
  return out;
}

std::array<int, 10> amounts(const Loot& loot) {
  return {loot.tls,
          loot.director,
          loot.director_root,
          loot.timestamp,
          loot.snapshot,
          loot.runtime,
          loot.security,
          loot.team,
          loot.targets,
          loot.root};
}

std::string describe(const Loot& loot) {
  std::string out;
  const auto add = [&](bool stolen, const std::string& name) {
    if (stolen) {
      out += (out.empty() ? "" : " + ") + name;
    }
  };
  add(loot.tls, "controller certificate");
  add(loot.director, "director key");
  add(loot.director_root, "director root");
  add(loot.timestamp, "timestamp");
  add(loot.snapshot, "snapshot");
  add(loot.runtime, "runtime");
  add(loot.security, "security");
  add(loot.team, "team");
  add(loot.targets > 0, std::to_string(loot.targets) + " targets");
  add(loot.root > 0, std::to_string(loot.root) + " root");
  return out.empty() ? "no key" : out;
}

bool contains(const Loot& whole, const Loot& part) {
  const auto a = amounts(whole);
  const auto b = amounts(part);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] < b[i]) {
      return false;
    }
  }
  return true;
}

// Each capability with the smallest sets that reach it: a set reaches it if it contains one of
// them.
std::string table(const std::vector<std::pair<Loot, Reached>>& results) {
  std::ostringstream out;
  out << "| to make a device … | the thief needs one of these sets |\n|---|---|\n";
  for (std::size_t what = 0; what < kCapabilities.size(); ++what) {
    std::vector<Loot> smallest;
    for (const auto& [loot, reached] : results) {
      const Loot& here = loot;
      const bool has_smaller =
          reached[what] && std::any_of(results.begin(), results.end(), [&](const auto& other) {
            return other.second[what] && contains(here, other.first) &&
                   amounts(here) != amounts(other.first);
          });
      if (reached[what] && !has_smaller) {
        smallest.push_back(here);
      }
    }
    out << "| " << kCapabilities[what] << " | ";
    if (smallest.empty()) {
      out << "no set of keys does it";
    }
    for (std::size_t i = 0; i < smallest.size(); ++i) {
      out << (i == 0 ? "" : "; ") << describe(smallest[i]);
    }
    out << " |\n";
  }
  return out.str();
}

TEST(StolenKeys, ReachExactlyWhatTheRolesSay) {
  Heist heist;
  std::vector<std::pair<Loot, Reached>> results;
  std::size_t reached_any = 0;
  for (const Loot& loot : every_loot()) {
    const Reached reached = heist.reach(loot);
    const Reached wanted = expected(loot);
    for (std::size_t what = 0; what < kCapabilities.size(); ++what) {
      ASSERT_EQ(reached[what], wanted[what]) << describe(loot) << ": " << kCapabilities[what];
    }
    reached_any += reached != Reached{} ? 1U : 0U;
    results.emplace_back(loot, reached);
  }
  EXPECT_EQ(results.size(), 2304U);
  EXPECT_GT(reached_any, 0U);

  const std::string made = table(results);
  std::ifstream file{SKERRY_STOLEN_KEYS};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  const std::string begin = "<!-- table: made by trust_test -->\n";
  const std::string end = "<!-- end of table -->";
  const auto from = text.find(begin);
  const auto to = text.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  const std::string kept = text.substr(from + begin.size(), to - from - begin.size());
  // One thread runs here.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  if (std::getenv("SKERRY_WRITE_DOCS") != nullptr) {
    std::ofstream{SKERRY_STOLEN_KEYS} << text.substr(0, from + begin.size()) << made
                                      << text.substr(to);
  } else {
    EXPECT_EQ(kept, made) << "SKERRY_WRITE_DOCS=1 writes what is true now";
  }
}

}  // namespace
}  // namespace skerry::test
