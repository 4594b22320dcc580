#include "skerry/controller/trust_publisher.hpp"

#include <gtest/gtest.h>

#include "skerry/common/json.hpp"
#include "skerry/security/tuf/repository.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

using namespace std::chrono_literals;
namespace tuf = security::tuf;

constexpr const char* kTenant = "default";
constexpr const char* kTarget = "models/acme/log-triage/1.0.0";

std::shared_ptr<security::Signer> new_key() {
  return std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
}

class PublisherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*Store::open("sqlite3", (dir_.path() / "controller.db").string()));
    publisher_ = std::make_unique<TrustPublisher>(*store_, online_, clock_, TrustConfig{});
    stage(kTarget, "{\"a\":1}", 1);
  }

  void stage(const std::string& target, const std::string& content, std::int64_t counter) {
    ManifestRecord record;
    record.tenant_id = kTenant;
    record.target = target;
    record.digest = Digest::of(content).to_string();
    record.content = content;
    record.length = static_cast<std::int64_t>(content.size());
    record.release_counter = counter;
    ASSERT_TRUE(store_->stage_manifest(record));
  }

  std::string signed_by(const security::Signer& key, Json::Object part) {
    part["spec_version"] = "1.0.34";
    part["expires"] = to_rfc3339(clock_.wall_now() + 24h * 365);
    const Json envelope = Json::Object{{"signatures", Json::Array{}}, {"signed", std::move(part)}};
    return *tuf::sign_metadata(envelope.dump(), key);
  }

  NamedBytes root(std::int64_t version,
                  const security::Signer& online,
                  const security::Signer* also = nullptr) {
    Json::Object keys;
    for (const auto* key : {root_key_.get(), targets_key_.get()}) {
      keys[key->public_key().key_id()] = key->public_key().to_tuf_json();
    }
    keys[online.public_key().key_id()] = online.public_key().to_tuf_json();
    const auto role = [](const security::Signer& key) {
      return Json::Object{{"keyids", Json::Array{key.public_key().key_id()}}, {"threshold", 1}};
    };
    auto bytes = signed_by(*root_key_,
                           Json::Object{{"_type", "root"},
                                        {"consistent_snapshot", true},
                                        {"version", version},
                                        {"keys", std::move(keys)},
                                        {"roles",
                                         Json::Object{{"root", role(*root_key_)},
                                                      {"targets", role(*targets_key_)},
                                                      {"snapshot", role(online)},
                                                      {"timestamp", role(online)}}}});
    if (also != nullptr) {
      bytes = *tuf::sign_metadata(bytes, *also);
    }
    return {std::to_string(version) + ".root.json", bytes};
  }

  NamedBytes targets(std::int64_t version,
                     const std::string& content = "{\"a\":1}",
                     const security::Signer* key = nullptr,
                     std::int64_t counter = 1,
                     const std::string& target = kTarget) {
    const Json entry = Json::Object{
        {"length", static_cast<std::int64_t>(content.size())},
        {"hashes", Json::Object{{"sha256", Digest::of(content).hex()}}},
        {"custom", Json::Object{{"type", "model-manifest"}, {"release_counter", counter}}}};
    return {std::to_string(version) + ".targets.json",
            signed_by(key == nullptr ? *targets_key_ : *key,
                      Json::Object{{"_type", "targets"},
                                   {"version", version},
                                   {"targets", Json::Object{{target, entry}}}})};
  }

  // A list of any role with one target, and optionally a delegation.
  NamedBytes list(const std::string& role,
                  std::int64_t version,
                  const security::Signer& key,
                  const std::map<std::string, std::string>& targets,
                  const security::Signer* team = nullptr,
                  std::chrono::hours life = 24h * 365) {
    Json::Object entries;
    for (const auto& [path, content] : targets) {
      entries[path] = Json::Object{
          {"length", static_cast<std::int64_t>(content.size())},
          {"hashes", Json::Object{{"sha256", Digest::of(content).hex()}}},
          {"custom", Json::Object{{"type", "model-manifest"}, {"release_counter", 1}}}};
    }
    Json::Object part{{"_type", "targets"}, {"version", version}, {"targets", std::move(entries)}};
    if (team != nullptr) {
      const auto& id = team->public_key().key_id();
      part["delegations"] =
          Json::Object{{"keys", Json::Object{{id, team->public_key().to_tuf_json()}}},
                       {"roles",
                        Json::Array{Json::Object{{"name", "acme"},
                                                 {"keyids", Json::Array{id}},
                                                 {"threshold", 1},
                                                 {"terminating", true},
                                                 {"paths", Json::Array{"models/acme/*/*"}}}}}};
    }
    part["spec_version"] = "1.0.34";
    part["expires"] = to_rfc3339(clock_.wall_now() + life);
    const Json envelope = Json::Object{{"signatures", Json::Array{}}, {"signed", std::move(part)}};
    return {std::to_string(version) + "." + role + ".json",
            *tuf::sign_metadata(envelope.dump(), key)};
  }

  Error refusal(std::vector<NamedBytes> files) {
    const auto before = *publisher_->current(kTenant);
    const auto published = publisher_->publish(kTenant, std::move(files));
    EXPECT_FALSE(published);
    const auto after = *publisher_->current(kTenant);
    EXPECT_EQ(before.size(), after.size()) << "a refused publication changes nothing";
    return published ? Error{Error::Code::kInternal, "accepted"} : published.error();
  }

  test::TempDir dir_;
  FakeClock clock_{WallTime{1'700'000'000'000ms}};
  std::shared_ptr<security::Signer> online_ = new_key();
  std::shared_ptr<security::Signer> root_key_ = new_key();
  std::shared_ptr<security::Signer> targets_key_ = new_key();
  std::unique_ptr<Store> store_;
  std::unique_ptr<TrustPublisher> publisher_;
};

TEST_F(PublisherTest, TheFirstPublicationIsWhatADeviceAccepts) {
  const auto versions = publisher_->publish(kTenant, {root(1, *online_), targets(1)});
  ASSERT_TRUE(versions) << versions.error().to_string();
  EXPECT_EQ(versions->snapshot, 1);
  EXPECT_EQ(versions->timestamp, 1);
  auto device = tuf::TrustedSet::create(*publisher_->read(kTenant, "image", "1.root.json"),
                                        {clock_.wall_now(), security::TimeQuality::kSynchronised});
  ASSERT_TRUE(device);
  ASSERT_TRUE(device->finish_root());
  ASSERT_TRUE(*device->update_timestamp(*publisher_->read(kTenant, "image", "timestamp.json")));
  ASSERT_TRUE(device->update_snapshot(*publisher_->read(kTenant, "image", "1.snapshot.json")));
  ASSERT_TRUE(device->update_targets(*publisher_->read(kTenant, "image", "1.targets.json")));
  EXPECT_TRUE((**store_->find_manifest(kTenant, kTarget)).published);
  const auto target = publisher_->find_target(kTenant, kTarget);
  ASSERT_TRUE(target && *target);
  EXPECT_EQ((**target).manifest_digest, Digest::of("{\"a\":1}").to_string());
  EXPECT_FALSE(publisher_->find_target(kTenant, "models/acme/other/1.0.0")->has_value());
}

TEST_F(PublisherTest, TheFirstPublicationNeedsBothFiles) {
  EXPECT_EQ(refusal({targets(1)}).code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(refusal({root(1, *online_)}).code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(refusal({}).code(), Error::Code::kInvalidArgument);
}

TEST_F(PublisherTest, OnlyWhatOfflineKeysSignIsTaken) {
  for (const auto* name : {"timestamp.json",
                           "1.snapshot.json",
                           "0.root.json",
                           "01.root.json",
                           "1.root.json.bak",
                           "../1.root.json",
                           "root.json",
                           "1..json",
                           "1.a/b.json",
                           "1.%2e.json",
                           "1.%41.json",
                           "-1.root.json",
                           ""}) {
    EXPECT_EQ(refusal({{name, "{}"}}).code(), Error::Code::kInvalidArgument) << name;
  }
}

TEST_F(PublisherTest, TargetsByAnotherKeyAreRefused) {
  const auto intruder = new_key();
  EXPECT_EQ(refusal({root(1, *online_), targets(1, "{\"a\":1}", intruder.get())}).code(),
            Error::Code::kThresholdNotMet);
}

TEST_F(PublisherTest, ARootWithoutTheOnlineKeyIsRefusedWithItsId) {
  const auto other = new_key();
  const auto error = refusal({root(1, *other), targets(1)});
  EXPECT_NE(error.message().find(online_->public_key().key_id()), std::string::npos);
}

TEST_F(PublisherTest, OlderOrChangedTargetsAreRefused) {
  ASSERT_TRUE(publisher_->publish(kTenant, {root(1, *online_), targets(2)}));
  EXPECT_EQ(refusal({targets(1)}).code(), Error::Code::kRollback);
  clock_.advance(1h);
  EXPECT_EQ(refusal({targets(2)}).code(), Error::Code::kRollback) << "same version, other bytes";
  EXPECT_TRUE(publisher_->publish(kTenant, {targets(3)}));
}

TEST_F(PublisherTest, ATargetThatWasNotStagedAsSuchIsRefused) {
  EXPECT_NE(refusal({root(1, *online_), targets(1, "x", nullptr, 1, "models/acme/other/1.0.0")})
                .message()
                .find("push it first"),
            std::string::npos);
  EXPECT_EQ(refusal({root(1, *online_), targets(1, "{\"a\":2}")}).code(),
            Error::Code::kMetadataMismatch);
  EXPECT_NE(refusal({root(1, *online_), targets(1, "{\"a\":1}", nullptr, 9)})
                .message()
                .find("release counter 9"),
            std::string::npos);
}

TEST_F(PublisherTest, ARootIsReplacedOnlyInSequenceByTheOldKeys) {
  ASSERT_TRUE(publisher_->publish(kTenant, {root(1, *online_), targets(1)}));
  EXPECT_FALSE(publisher_->publish(kTenant, {root(3, *online_)}));
  EXPECT_TRUE(publisher_->publish(kTenant, {root(2, *online_)}));
  EXPECT_EQ(publisher_->versions(kTenant)->root, 2);
  const auto old_root = root_key_;
  root_key_ = new_key();
  EXPECT_FALSE(publisher_->publish(kTenant, {root(3, *online_)})) << "signed by the new key alone";
  EXPECT_TRUE(publisher_->publish(kTenant, {root(3, *online_, old_root.get())}));
}

TEST_F(PublisherTest, EachPublicationHasANewSnapshotAndTimestamp) {
  ASSERT_TRUE(publisher_->publish(kTenant, {root(1, *online_), targets(1)}));
  stage("models/acme/log-triage/1.1.0", "{\"b\":1}", 2);
  const auto next = publisher_->publish(
      kTenant, {targets(2, "{\"b\":1}", nullptr, 2, "models/acme/log-triage/1.1.0")});
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(next->snapshot, 2);
  EXPECT_EQ(next->timestamp, 2);
  EXPECT_TRUE(publisher_->read(kTenant, "image", "1.snapshot.json")) << "old ones stay readable";
}

TEST_F(PublisherTest, TheTimestampIsRefreshedAtHalfLifeAndTheSnapshotBeforeItEnds) {
  ASSERT_TRUE(publisher_->publish(kTenant, {root(1, *online_), targets(1)}));
  EXPECT_FALSE(*publisher_->refresh(kTenant));
  clock_.advance(24h * 3);
  EXPECT_FALSE(*publisher_->refresh(kTenant));
  clock_.advance(13h);
  EXPECT_TRUE(*publisher_->refresh(kTenant));
  EXPECT_EQ(publisher_->versions(kTenant)->timestamp, 2);
  EXPECT_EQ(publisher_->versions(kTenant)->snapshot, 1);
  clock_.advance(24h * 21);
  EXPECT_TRUE(*publisher_->refresh(kTenant));
  EXPECT_EQ(publisher_->versions(kTenant)->snapshot, 2);
}

TEST_F(PublisherTest, NothingIsRefreshedBeforeTheFirstPublication) {
  EXPECT_FALSE(*publisher_->refresh(kTenant));
}

TEST_F(PublisherTest, OtherRepositoriesAndNamesAreNotFound) {
  EXPECT_EQ(publisher_->read(kTenant, "director", "1.root.json").error().code(),
            Error::Code::kNotFound);
  EXPECT_EQ(publisher_->read(kTenant, "image", "1.root.json").error().code(),
            Error::Code::kNotFound);
  EXPECT_EQ(publisher_->read(kTenant, "image", std::string(1000, '1')).error().code(),
            Error::Code::kNotFound);
}

class DelegationPublisherTest : public PublisherTest {
 protected:
  void SetUp() override {
    PublisherTest::SetUp();
    stage("models/beta/other/1.0.0", "{\"b\":1}", 1);
  }
  std::shared_ptr<security::Signer> team_ = new_key();
  std::shared_ptr<security::Signer> next_team_ = new_key();
  const std::map<std::string, std::string> ours_{{kTarget, "{\"a\":1}"}};
};

TEST_F(DelegationPublisherTest, ATeamsListIsServedAndFoundThroughItsDelegation) {
  const auto versions = publisher_->publish(kTenant,
                                            {root(1, *online_),
                                             list("targets", 1, *targets_key_, {}, team_.get()),
                                             list("acme", 1, *team_, {})});
  ASSERT_TRUE(versions) << versions.error().to_string();
  EXPECT_EQ(versions->delegated.at("acme"), 1);
  EXPECT_FALSE(publisher_->find_target(kTenant, kTarget)->has_value());
  const auto next = publisher_->publish(kTenant, {list("acme", 2, *team_, ours_)});
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(next->targets, 1);
  EXPECT_EQ(next->snapshot, 2);
  const auto target = publisher_->find_target(kTenant, kTarget);
  ASSERT_TRUE(target && *target) << target.error().to_string();
  EXPECT_EQ((**target).manifest_digest, Digest::of("{\"a\":1}").to_string());
  EXPECT_TRUE((**store_->find_manifest(kTenant, kTarget)).published);
  const auto snapshot = publisher_->read(kTenant, "image", "2.snapshot.json");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(tuf::parse_snapshot(*snapshot)->content.meta.at("acme.json").version, 2);
  EXPECT_TRUE(publisher_->read(kTenant, "image", "2.acme.json"));
}

TEST_F(DelegationPublisherTest, WhatATeamMayNotSayIsRefused) {
  const auto delegating = list("targets", 1, *targets_key_, {}, team_.get());
  EXPECT_NE(refusal({root(1, *online_), delegating}).message().find("no metadata of the role"),
            std::string::npos);
  const auto stray = refusal({root(1, *online_),
                              delegating,
                              list("acme", 1, *team_, {{"models/beta/other/1.0.0", "{\"b\":1}"}})});
  EXPECT_EQ(stray.code(), Error::Code::kPermissionDenied);
  EXPECT_NE(stray.message().find("models/beta/other/1.0.0"), std::string::npos);
  EXPECT_EQ(refusal({root(1, *online_), delegating, list("acme", 1, *next_team_, {})}).code(),
            Error::Code::kThresholdNotMet);
  ASSERT_TRUE(
      publisher_->publish(kTenant, {root(1, *online_), delegating, list("acme", 2, *team_, {})}));
  EXPECT_EQ(refusal({list("acme", 1, *team_, ours_)}).code(), Error::Code::kRollback);
  const auto nobody = refusal({list("beta", 1, *team_, {})});
  EXPECT_EQ(nobody.code(), Error::Code::kPermissionDenied);
  EXPECT_NE(nobody.message().find("nobody delegates"), std::string::npos);
  EXPECT_EQ(refusal({list("acme", 3, *team_, {{kTarget, "other bytes"}})}).code(),
            Error::Code::kMetadataMismatch);
}

TEST_F(DelegationPublisherTest, AnotherTeamsExpiredListKeepsNobodyFromPublishing) {
  ASSERT_TRUE(publisher_->publish(kTenant,
                                  {root(1, *online_),
                                   list("targets", 1, *targets_key_, {}, team_.get()),
                                   list("acme", 1, *team_, ours_, nullptr, 1h)}));
  clock_.advance(2h);
  EXPECT_EQ(refusal({list("acme", 2, *team_, ours_, nullptr, -1h)}).code(),
            Error::Code::kMetadataExpired);
  EXPECT_TRUE(publisher_->publish(
      kTenant,
      {list(
          "targets", 2, *targets_key_, {{"models/beta/other/1.0.0", "{\"b\":1}"}}, team_.get())}));
  EXPECT_TRUE(publisher_->find_target(kTenant, "models/beta/other/1.0.0")->has_value());
}

TEST_F(DelegationPublisherTest, ARevokedTeamStaysInTheSnapshotAndIsNotFound) {
  ASSERT_TRUE(publisher_->publish(kTenant,
                                  {root(1, *online_),
                                   list("targets", 1, *targets_key_, {}, team_.get()),
                                   list("acme", 1, *team_, ours_)}));
  ASSERT_TRUE(publisher_->publish(kTenant, {list("targets", 2, *targets_key_, {})}));
  EXPECT_FALSE(publisher_->find_target(kTenant, kTarget)->has_value());
  const auto snapshot = publisher_->read(kTenant, "image", "2.snapshot.json");
  EXPECT_TRUE(tuf::parse_snapshot(*snapshot)->content.meta.contains("acme.json")) << "TUF 5.5.5";
  // A device that has followed both takes the second set.
  clock_.advance(24h * 25);
  EXPECT_TRUE(*publisher_->refresh(kTenant));
  const auto later = publisher_->read(kTenant, "image", "3.snapshot.json");
  ASSERT_TRUE(later);
  EXPECT_TRUE(tuf::parse_snapshot(*later)->content.meta.contains("acme.json"));
}

TEST_F(PublisherTest, GarbageIsRefusedWithTheFileItIsIn) {
  EXPECT_NE(refusal({{"1.root.json", "{"}, targets(1)}).message().find("root"), std::string::npos);
  EXPECT_FALSE(publisher_->publish(kTenant, {root(1, *online_), {"1.targets.json", "\xff\xfe"}}));
}

}  // namespace
}  // namespace skerry::controller
