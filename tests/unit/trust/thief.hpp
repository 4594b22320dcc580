#pragma once

// A fleet, a thief who holds some of its keys, and a device that followed honestly until the thief
// serves it: every forgery that the keys allow, handed to the code that runs on devices. For
// stolen_keys_test.cpp.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "signed_fleet.hpp"

namespace skerry::test {

using security::TimeQuality;
using security::TrustedTime;
using security::tuf::Assignment;
using security::tuf::assignment_path;
using security::tuf::assignment_role;
using security::tuf::check_agreement;
using security::tuf::Client;
using security::tuf::parse_assignments;
using security::tuf::TargetFile;

inline const std::string kWanted = "policy/current";

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

}  // namespace skerry::test
