// For every set of keys that can be stolen: what the thief makes a device do. The table in
// docs/stolen-keys.md is what came out. SKERRY_WRITE_DOCS=1 writes it. That nothing of his arrives
// without the controller's certificate is tried in controller_channel_test.cpp.

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <tuple>

#include "thief.hpp"

namespace skerry::test {
namespace {

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
