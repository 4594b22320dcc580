// Delegations: which paths they cover, the order of the search, and who vouches for whom. The
// suite under tests/conformance drives the same code through files and HTTP.

#include <gtest/gtest.h>

#include "skerry/security/tuf/client.hpp"
#include "skerry/security/tuf/delegation.hpp"
#include "skerry/security/tuf/delegation_walk.hpp"

#include "repository_simulator.hpp"

namespace skerry::security::tuf {
namespace {

using test::MemoryMetadataStore;
using test::RepositorySimulator;

const WallTime kDelegationNow = *parse_rfc3339("2026-11-22T12:00:00Z");

struct PatternCase {
  const char* pattern;
  const char* path;
  bool covered;
};

class PathPatternTest : public ::testing::TestWithParam<PatternCase> {};

TEST_P(PathPatternTest, CoversWhatTheSpecificationSays) {
  const PatternCase& param = GetParam();
  EXPECT_EQ(matches_path_pattern(param.pattern, param.path), param.covered)
      << param.pattern << " " << param.path;
}

INSTANTIATE_TEST_SUITE_P(Patterns,
                         PathPatternTest,
                         ::testing::Values(PatternCase{"*", "a", true},
                                           PatternCase{"*", "a/b", false},
                                           PatternCase{"*", ".hidden", true},
                                           PatternCase{"", "", true},
                                           PatternCase{"", "a", false},
                                           PatternCase{"a", "a", true},
                                           PatternCase{"a", "A", false},
                                           PatternCase{"models/*/*", "models/acme/x", true},
                                           PatternCase{"models/*/*", "models/acme", false},
                                           PatternCase{"models/*/*", "models/acme/x/1", false},
                                           PatternCase{"models/acme/*", "models/acmex/y", false},
                                           PatternCase{"*.tgz", "foo.tgz", true},
                                           PatternCase{"*.tgz", "foo.tgz.sig", false},
                                           PatternCase{"a*b*c", "axxbyyc", true},
                                           PatternCase{"a*b*c", "axxbyy", false},
                                           PatternCase{"foo-?.bin", "foo-1.bin", true},
                                           PatternCase{"foo-?.bin", "foo-.bin", false},
                                           PatternCase{"a?b", "a/b", false},
                                           PatternCase{"?", "\xe4\xb8\x96", true},
                                           PatternCase{"*?", "\xe4\xb8\x96", true},
                                           PatternCase{"??", "\xe4\xb8\x96", false},
                                           PatternCase{"[a-c]", "b", true},
                                           PatternCase{"[a-c]", "d", false},
                                           PatternCase{"[!a-c]", "d", true},
                                           PatternCase{"[]]", "]", true},
                                           PatternCase{"[a-]", "-", true},
                                           PatternCase{"[a", "[a", true},
                                           PatternCase{"[a", "a", false},
                                           PatternCase{"[!/]", "/", false},
                                           PatternCase{"\\*", "*", false},
                                           PatternCase{"**", "ab", true}));

TEST(PathPattern, ManyStarsStayCheap) {
  std::string pattern;
  for (int i = 0; i < 128; ++i) {
    pattern += "*a";
  }
  EXPECT_FALSE(matches_path_pattern(pattern + "b", std::string(512, 'a')));
}

TEST(Delegation, HashPrefixesChooseByTheHashOfThePath) {
  // SHA-256("path") begins with a0af9f86.
  DelegatedRole role;
  role.path_hash_prefixes = {"00", "a0af9"};
  EXPECT_TRUE(covers(role, "path"));
  EXPECT_FALSE(covers(role, "other"));
}

TEST(Delegation, SuccinctRolesGiveTheBinOfThePath) {
  Delegations delegations;
  delegations.succinct = SuccinctRoles{RoleKeys{{"k"}, 1}, 3, "bin"};
  const auto roles = delegations_for(delegations, "path");
  ASSERT_EQ(roles.size(), 1U);
  // The first three bits of a0 are 101.
  EXPECT_EQ(roles.front().name, "bin-5");
  EXPECT_TRUE(roles.front().terminating);
  delegations.succinct->bit_length = 32;
  EXPECT_EQ(delegations_for(delegations, "path").front().name, "bin-a0af9f86");
}

TEST(Delegation, RoleNamesOfFilesAreTakenInOneFormOnly) {
  for (const std::string name : {"acme", "../a b", "a.b", "\xe4\xb8\x96"}) {
    const auto role = decode_role_name(encode_role_name(RoleName{name}));
    ASSERT_TRUE(role) << name;
    EXPECT_EQ(role->text(), name);
  }
  for (const char* text : {"", "a/b", "%2f", "%41", "%2", "%", "%zz", "a b"}) {
    EXPECT_EQ(decode_role_name(text).error().code(), Error::Code::kInvalidArgument) << text;
  }
}

TEST(Delegation, RoleNamesStayOneComponent) {
  EXPECT_EQ(encode_role_name(RoleName{std::string{"../a b"}}), "..%2Fa%20b");
  EXPECT_EQ(encode_role_name(RoleName{Role::kTargets}), "targets");
  EXPECT_TRUE(RoleName{std::string{"team"}}.is_delegated());
  EXPECT_FALSE(RoleName{Role::kRoot}.is_delegated());
}

// Delegated roles beside the simulator's top-level ones.
class DelegationTest : public ::testing::Test {
 protected:
  struct Team {
    Json::Object part;
    RepositorySimulator::SignerPtr key = RepositorySimulator::new_key();
  };

  DelegationTest() { EXPECT_TRUE(client_.bootstrap(repo_.first_root)); }

  static Json::Object empty_targets() {
    return Json::Object{{"_type", "targets"},
                        {"spec_version", "1.0.34"},
                        {"version", 1},
                        {"expires", "2026-12-22T12:00:00Z"},
                        {"targets", Json::Object{}}};
  }

  // `delegator` trusts `name` with `pattern`.
  void delegate(Json::Object& delegator,
                const std::string& name,
                const std::string& pattern,
                const RepositorySimulator::SignerPtr& key,
                bool terminating = false) {
    Json& delegations = delegator["delegations"];
    if (!delegations.is_object()) {
      delegations = Json::Object{{"keys", Json::Object{}}, {"roles", Json::Array{}}};
    }
    const std::string keyid = key->public_key().key_id();
    (*(*delegations.object())["keys"].object())[keyid] = key->public_key().to_tuf_json();
    (*delegations.object())["roles"].array()->push_back(
        Json::Object{{"name", name},
                     {"keyids", Json::Array{Json{keyid}}},
                     {"threshold", 1},
                     {"terminating", terminating},
                     {"paths", Json::Array{Json{pattern}}}});
  }

  static void list(Json::Object& part, const std::string& path, const std::string& content) {
    (*part["targets"].object())[path] =
        Json::Object{{"length", static_cast<std::uint64_t>(content.size())},
                     {"hashes", Json::Object{{"sha256", Digest::of(content).hex()}}}};
  }

  // Serves every team's file and lists it in the next snapshot.
  void publish() {
    for (auto& [name, team] : teams_) {
      const std::string bytes = RepositorySimulator::sign(team.part, {team.key});
      repo_.served[std::to_string(repo_.version_of(team.part)) + "." +
                   encode_role_name(RoleName{name}) + ".json"] = bytes;
      Json::Object meta{{"version", repo_.version_of(team.part)},
                        {"length", static_cast<std::uint64_t>(bytes.size())},
                        {"hashes", Json::Object{{"sha256", Digest::of(bytes).hex()}}}};
      (*repo_.snapshot["meta"].object())[name + ".json"] = Json{std::move(meta)};
    }
    repo_.publish_targets();
  }

  Team& team(const std::string& name) {
    const auto [it, made] = teams_.try_emplace(name);
    if (made) {
      it->second.part = empty_targets();
    }
    return it->second;
  }

  Result<RefreshOutcome> refresh() {
    return client_.refresh(TrustedTime{kDelegationNow, TimeQuality::kSynchronised});
  }

  RepositorySimulator repo_{kDelegationNow};
  MemoryMetadataStore store_;
  Client client_{store_, repo_};
  std::map<std::string, Team> teams_;
};

TEST_F(DelegationTest, FindsATeamsTargetAndKeepsItsMetadata) {
  delegate(repo_.targets, "acme", "models/acme/*/*", team("acme").key, true);
  list(team("acme").part, "models/acme/x/1.0.0", "manifest");
  publish();
  ASSERT_TRUE(refresh());
  const auto found = client_.lookup("models/acme/x/1.0.0");
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->role, RoleName{std::string{"acme"}});
  EXPECT_TRUE(found->file.check("manifest"));
  EXPECT_EQ(store_.files[RoleName{std::string{"acme"}}], repo_.served["1.acme.json"]);

  // What was verified answers without a network.
  repo_.served.clear();
  Client offline{store_, repo_};
  ASSERT_TRUE(offline.load(TrustedTime{kDelegationNow, TimeQuality::kUnattested}));
  EXPECT_TRUE(offline.lookup("models/acme/x/1.0.0"));
}

TEST_F(DelegationTest, ATeamCannotSpeakForAnother) {
  delegate(repo_.targets, "acme", "models/acme/*/*", team("acme").key, true);
  delegate(repo_.targets, "globex", "models/globex/*/*", team("globex").key, true);
  list(team("acme").part, "models/globex/x/1.0.0", "theirs");
  publish();
  ASSERT_TRUE(refresh());
  const auto found = client_.lookup("models/globex/x/1.0.0");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Error::Code::kNotFound);
}

TEST_F(DelegationTest, ARoleIsVerifiedForTheDelegationThatLedToIt) {
  delegate(repo_.targets, "a", "path-a", team("a").key);
  delegate(repo_.targets, "b", "path-b", team("b").key);
  delegate(team("a").part, "shared", "path-a", team("shared").key);
  delegate(team("b").part, "shared", "path-b", RepositorySimulator::new_key());
  list(team("shared").part, "path-a", "one");
  list(team("shared").part, "path-b", "two");
  publish();
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(client_.lookup("path-a"));
  const auto other = client_.lookup("path-b");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Error::Code::kThresholdNotMet);
}

TEST_F(DelegationTest, AnOlderFileOfATeamIsNotTaken) {
  delegate(repo_.targets, "acme", "*", team("acme").key);
  list(team("acme").part, "x", "old");
  publish();
  const std::string old = repo_.served["1.acme.json"];
  team("acme").part["version"] = Json{2};
  publish();
  repo_.served["2.acme.json"] = old;
  ASSERT_TRUE(refresh());
  const auto found = client_.lookup("x");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Error::Code::kMetadataMismatch);
  EXPECT_FALSE(store_.files.contains(RoleName{std::string{"acme"}}));
}

TEST_F(DelegationTest, SearchesEndAtTheLimits) {
  Client narrow{store_, repo_, ClientOptions{.max_delegated_roles = 3, .max_delegation_depth = 2}};
  Json::Object* above = &repo_.targets;
  for (const char* name : {"a", "b", "c"}) {
    delegate(*above, name, "*", team(name).key);
    above = &team(name).part;
  }
  list(*above, "x", "deep");
  publish();
  ASSERT_TRUE(narrow.refresh(TrustedTime{kDelegationNow, TimeQuality::kSynchronised}));
  EXPECT_EQ(narrow.lookup("x").error().code(), Error::Code::kTooLarge);
  ASSERT_TRUE(refresh());
  EXPECT_TRUE(client_.lookup("x"));
}

TEST_F(DelegationTest, LookupsNeedARefreshAndASafePath) {
  EXPECT_EQ(client_.lookup("x").error().code(), Error::Code::kFailedPrecondition);
  ASSERT_TRUE(refresh());
  EXPECT_EQ(client_.lookup("../x").error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(client_.lookup("x").error().code(), Error::Code::kNotFound);
}

struct BadDelegations {
  const char* name;
  const char* json;
};

class BadDelegationsTest : public ::testing::TestWithParam<BadDelegations> {};

TEST_P(BadDelegationsTest, AreRefusedByTheParser) {
  const std::string bytes =
      std::string{R"({"signatures":[],"signed":{"_type":"targets","spec_version":"1.0.34",)"} +
      R"("version":1,"expires":"2030-01-01T00:00:00Z","targets":{},"delegations":)" +
      GetParam().json + "}}";
  const auto parsed = parse_targets(bytes);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), Error::Code::kParse) << parsed.error().to_string();
}

INSTANTIATE_TEST_SUITE_P(
    Forms,
    BadDelegationsTest,
    ::testing::Values(
        BadDelegations{"NoKeys", R"({"roles":[]})"},
        BadDelegations{"NoArray", R"({"keys":{},"roles":{}})"},
        BadDelegations{"BothKinds",
                       R"({"keys":{},"roles":[],"succinct_roles":{"keyids":[],"threshold":1,
                           "bit_length":4,"name_prefix":"b"}})"},
        BadDelegations{"TopLevelName",
                       R"({"keys":{},"roles":[{"name":"root","keyids":[],"threshold":1,
                           "terminating":false,"paths":["*"]}]})"},
        BadDelegations{"SameNameTwice",
                       R"({"keys":{},"roles":[
                           {"name":"a","keyids":[],"threshold":1,"terminating":false,"paths":["*"]},
                           {"name":"a","keyids":[],"threshold":1,"terminating":false,"paths":["*"]}
                           ]})"},
        BadDelegations{"NeitherPathsNorPrefixes",
                       R"({"keys":{},"roles":[{"name":"a","keyids":[],"threshold":1,
                           "terminating":false}]})"},
        BadDelegations{"PathsAndPrefixes",
                       R"({"keys":{},"roles":[{"name":"a","keyids":[],"threshold":1,
                           "terminating":false,"paths":["*"],"path_hash_prefixes":["00"]}]})"},
        BadDelegations{"PrefixIsNoHash",
                       R"({"keys":{},"roles":[{"name":"a","keyids":[],"threshold":1,
                           "terminating":false,"path_hash_prefixes":["XY"]}]})"},
        BadDelegations{"ThresholdZero",
                       R"({"keys":{},"roles":[{"name":"a","keyids":[],"threshold":0,
                           "terminating":false,"paths":["*"]}]})"},
        BadDelegations{"KeyListedTwice",
                       R"({"keys":{},"roles":[{"name":"a","keyids":["k","k"],"threshold":1,
                           "terminating":false,"paths":["*"]}]})"},
        BadDelegations{"TooManyBits",
                       R"({"keys":{},"succinct_roles":{"keyids":[],"threshold":1,
                           "bit_length":33,"name_prefix":"b"}})"}),
    [](const auto& row) { return std::string{row.param.name}; });

// The whole graph at once, as the controller and a working copy judge it.
class DelegationWalkTest : public DelegationTest {
 protected:
  Result<std::vector<WalkedRole>> walk() {
    auto set = TrustedSet::create(repo_.first_root, {kDelegationNow, TimeQuality::kSynchronised});
    EXPECT_TRUE(set->finish_root());
    EXPECT_TRUE(set->update_timestamp(repo_.served["timestamp.json"]));
    const auto served = [&](const std::string& role, std::int64_t version) {
      return repo_.served[std::to_string(version) + "." + role + ".json"];
    };
    EXPECT_TRUE(set->update_snapshot(served("snapshot", repo_.version_of(repo_.snapshot))));
    EXPECT_TRUE(set->update_targets(served("targets", repo_.version_of(repo_.targets))));
    const RoleFiles files = [&](const RoleName& role) -> std::optional<std::string> {
      const auto found = repo_.served.find("1." + encode_role_name(role) + ".json");
      return found == repo_.served.end() ? std::nullopt : std::optional<std::string>{found->second};
    };
    return walk_delegations(*set, files);
  }
};

TEST_F(DelegationWalkTest, GivesEveryRoleInOrderAndJudgesEachDelegation) {
  delegate(repo_.targets, "acme", "models/acme/*/*", team("acme").key);
  delegate(repo_.targets, "beta", "models/beta/*/*", team("beta").key);
  delegate(team("acme").part, "night", "models/acme/night/*", team("night").key);
  list(team("night").part, "models/acme/night/1", "x");
  // A cycle, and a role with other keys than it is delegated to by.
  delegate(team("night").part, "acme", "models/acme/*/*", team("acme").key);
  delegate(repo_.targets, "torn", "models/torn/*/*", RepositorySimulator::new_key());
  team("torn");
  publish();
  const auto walked = walk();
  ASSERT_TRUE(walked) << walked.error().to_string();
  std::vector<std::string> names;
  for (const auto& role : *walked) {
    names.push_back(role.name.text() + (role.file ? "" : "!"));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"acme", "night", "beta", "torn!"}));
  EXPECT_EQ(walked->back().file.error().code(), Error::Code::kThresholdNotMet);
}

TEST_F(DelegationWalkTest, FindsPathsThatNoDelegationGives) {
  delegate(repo_.targets, "acme", "models/acme/*/*", team("acme").key);
  delegate(team("acme").part, "wide", "models/*/*/*", team("wide").key);
  list(team("wide").part, "models/beta/x/1", "x");
  publish();
  const auto walked = walk();
  ASSERT_TRUE(walked) << walked.error().to_string();
  ASSERT_EQ(walked->size(), 2U);
  EXPECT_TRUE(walked->front().file);
  // Its own delegation would give the path to it, the one before does not.
  EXPECT_EQ(walked->back().file.error().code(), Error::Code::kPermissionDenied);
  EXPECT_NE(walked->back().file.error().message().find("models/beta/x/1"), std::string::npos);
}

TEST_F(DelegationWalkTest, ALookupSaysWhenTheRoleReachesForOthers) {
  delegate(repo_.targets, "acme", "models/acme/*/*", team("acme").key);
  list(team("acme").part, "models/acme/x/1", "x");
  list(team("acme").part, "models/beta/x/1", "x");
  publish();
  ASSERT_TRUE(client_.refresh({kDelegationNow, TimeQuality::kSynchronised}));
  const auto found = client_.lookup("models/acme/x/1");
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->stray, "models/beta/x/1");
  EXPECT_EQ(client_.lookup("models/beta/x/1").error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::security::tuf
