#include <gtest/gtest.h>

#include "skerry/security/tuf/metadata.hpp"

#include "repository_simulator.hpp"

namespace skerry::security::tuf {
namespace {

using test::RepositorySimulator;

const WallTime kNow = *parse_rfc3339("2026-11-22T12:00:00Z");

class TufMetadataTest : public ::testing::Test {
 protected:
  // The error of a root in which one member was replaced (or removed, for null).
  std::string root_error(const std::string& key, const Json& value) {
    Json::Object root = simulator_.root;
    if (value.is_null()) {
      root.erase(key);
    } else {
      root[key] = value;
    }
    const auto parsed = parse_root(RepositorySimulator::sign(root, {}));
    return parsed ? std::string{} : parsed.error().message();
  }
  RepositorySimulator simulator_{kNow};
};

TEST_F(TufMetadataTest, ParsesEveryRole) {
  simulator_.add_target("models/acme/log-triage/1.0.0", "manifest");
  simulator_.publish_targets();
  const auto root = parse_root(simulator_.served["1.root.json"]);
  ASSERT_TRUE(root) << root.error().to_string();
  EXPECT_EQ(root->content.version, 1);
  EXPECT_TRUE(root->content.consistent_snapshot);
  EXPECT_EQ(root->content.keys.usable.size(), 4U);
  const auto timestamp = parse_timestamp(simulator_.served["timestamp.json"]);
  ASSERT_TRUE(timestamp) << timestamp.error().to_string();
  EXPECT_EQ(timestamp->content.issued, kNow);
  EXPECT_EQ(timestamp->content.snapshot.version, 2);
  ASSERT_TRUE(parse_snapshot(simulator_.served["2.snapshot.json"]));
  const auto targets = parse_targets(simulator_.served["2.targets.json"]);
  ASSERT_TRUE(targets) << targets.error().to_string();
  const TargetFile& target = targets->content.targets.at("models/acme/log-triage/1.0.0");
  EXPECT_EQ(target.length, 8U);
  EXPECT_EQ(target.release_counter(), 1);
  EXPECT_TRUE(target.check("manifest"));
  EXPECT_EQ(target.check("manifesT").error().code(), Error::Code::kMetadataMismatch);
  EXPECT_EQ(target.check("manifest ").error().code(), Error::Code::kMetadataMismatch);
}

TEST_F(TufMetadataTest, NamesThePathOfWhatIsWrong) {
  EXPECT_NE(root_error("version", Json{0}).find("signed.version"), std::string::npos);
  EXPECT_NE(root_error("version", Json{"1"}).find("signed.version"), std::string::npos);
  EXPECT_NE(root_error("expires", Json{"tomorrow"}).find("signed.expires"), std::string::npos);
  EXPECT_NE(root_error("roles", Json{}).find("signed.roles"), std::string::npos);
  EXPECT_NE(root_error("roles", Json{Json::Object{}}).find("signed.roles.root"), std::string::npos);
  EXPECT_NE(root_error("keys", Json{Json::Array{}}).find("signed.keys"), std::string::npos);
  EXPECT_NE(root_error("consistent_snapshot", Json{1}).find("consistent_snapshot"),
            std::string::npos);
  EXPECT_NE(root_error("_type", Json{"targets"}).find("_type"), std::string::npos);
  EXPECT_NE(root_error("spec_version", Json{"2.0.0"}).find("spec_version"), std::string::npos);
  EXPECT_TRUE(root_error("x-unknown", Json{"kept"}).empty());
}

TEST_F(TufMetadataTest, KeepsKeysOfUnknownTypesWithoutUsingThem) {
  Json::Object key;
  key["keytype"] = Json{"post-quantum"};
  key["scheme"] = Json{"new"};
  Json::Object value;
  value["public"] = Json{"00"};
  key["keyval"] = Json{value};
  (*simulator_.root["keys"].object())["aa"] = Json{key};
  const auto root = parse_root(RepositorySimulator::sign(simulator_.root, {}));
  ASSERT_TRUE(root) << root.error().to_string();
  EXPECT_EQ(root->content.keys.usable.size(), 4U);
  EXPECT_EQ(root->content.keys.all.size(), 5U);
}

TEST_F(TufMetadataTest, RefusesHostileTargetPaths) {
  for (const char* path :
       {"", "/etc/passwd", "a//b", "a/../b", "..", "a/.", "a\\b", "a\nb", "a/"}) {
    EXPECT_FALSE(check_target_path(path)) << path;
    Json::Object targets = simulator_.targets;
    Json::Object entry = *Json::parse(R"({"length":1,"hashes":{"sha256":"00"}})")->object();
    (*targets["targets"].object())[path] = Json{entry};
    EXPECT_FALSE(parse_targets(RepositorySimulator::sign(targets, {}))) << path;
  }
  EXPECT_FALSE(check_target_path(std::string(600, 'a')));
  EXPECT_TRUE(check_target_path("models/acme/log-triage/1.0.0"));
}

TEST_F(TufMetadataTest, ParsesAndKeepsDelegations) {
  const auto key = RepositorySimulator::new_key();
  const std::string keyid = key->public_key().key_id();
  Json::Object targets = simulator_.targets;
  targets["delegations"] =
      *Json::parse(R"({"keys":{")" + keyid + R"(":)" + key->public_key().to_tuf_json().dump() +
                   R"(},"roles":[{"name":"acme","keyids":[")" + keyid +
                   R"("],"threshold":1,"terminating":true,)"
                   R"("paths":["models/acme/*/*"]}]})");
  const auto parsed = parse_targets(RepositorySimulator::sign(targets, {}));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  ASSERT_TRUE(parsed->content.delegations);
  const DelegatedRole& role = parsed->content.delegations->roles.at(0);
  EXPECT_EQ(role.name, "acme");
  EXPECT_TRUE(role.terminating);
  EXPECT_EQ(role.paths, std::vector<std::string>{"models/acme/*/*"});
}

TEST_F(TufMetadataTest, RefusesAKeyIdThatSignsTwice) {
  const auto key = RepositorySimulator::new_key();
  EXPECT_FALSE(parse_root(RepositorySimulator::sign(simulator_.root, {key, key})));
}

TEST_F(TufMetadataTest, OneKeyUnderTwoIdsIsOneSigner) {
  const auto key = RepositorySimulator::new_key();
  KeyTable keys;
  keys.usable.emplace("a", key->public_key());
  keys.usable.emplace("b", key->public_key());
  const Bytes signature = *key->sign(as_bytes("text"));
  const RoleKeys role{{"a", "b"}, 2};
  const auto verified =
      verify_threshold(role, keys, {{"a", signature}, {"b", signature}}, "text", "x");
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code(), Error::Code::kThresholdNotMet);
  EXPECT_NE(verified.error().message().find("1 valid signatures of the 2"), std::string::npos);
}

TEST_F(TufMetadataTest, RefusesTruncatedAndOversizedFiles) {
  const std::string& whole = simulator_.served["1.root.json"];
  for (std::size_t size = 0; size < whole.size(); size += 13) {
    EXPECT_FALSE(parse_root(std::string_view{whole}.substr(0, size)));
  }
  EXPECT_FALSE(parse_timestamp(whole + std::string(MetadataLimits::kTimestampBytes, ' ')));
  EXPECT_FALSE(parse_root(std::string(200, '[')));
}

}  // namespace
}  // namespace skerry::security::tuf
