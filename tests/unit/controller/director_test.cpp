// The controller's director: what it signs for a device is what a device verifies, for that device
// alone, and never older than what it said before.

#include "director.hpp"

#include <array>

#include <gtest/gtest.h>

#include "skerry/security/tuf/repository.hpp"

#include "repository_simulator.hpp"
#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

using namespace std::chrono_literals;
namespace tuf = security::tuf;
using test::MemoryMetadataStore;

constexpr const char* kDirected = "default";
constexpr const char* kModel = "models/acme/log-triage/1.0.0";

std::shared_ptr<security::Signer> director_key() {
  return std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
}

// A device that has the director's first root.
class DirectedClient final : public tuf::Fetcher {
 public:
  DirectedClient(std::string id, const std::string& root) : id_(std::move(id)) {
    EXPECT_TRUE(tuf::Client(store_, *this).bootstrap(root));
  }

  Result<std::vector<tuf::Assignment>> take(const std::vector<NamedBytes>& files, WallTime now) {
    files_.clear();
    for (const auto& file : files) {
      files_[file.name] = file.content;
    }
    tuf::Client client{store_, *this};
    if (auto done = client.refresh({now, security::TimeQuality::kAttested}); !done) {
      return done.error();
    }
    const auto role = client.load_role(tuf::assignment_role(id_), tuf::assignment_path(id_, "x"));
    return role ? tuf::parse_assignments(id_, (*role)->content)
                : Result<std::vector<tuf::Assignment>>{role.error()};
  }

  Result<std::string> fetch(std::string_view name, std::size_t) override {
    const auto file = files_.find(name);
    return file == files_.end() ? Result<std::string>{Error{Error::Code::kNotFound, "not sent"}}
                                : Result<std::string>{file->second};
  }
  [[nodiscard]] std::int64_t version() const { return store_.version(tuf::Role::kTimestamp); }

 private:
  std::string id_;
  MemoryMetadataStore store_;
  std::map<std::string, std::string, std::less<>> files_;
};

class DirectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    open("controller.db");
    root_ = root(1, *key_);
  }

  void open(const std::string& name) {
    director_.reset();
    store_ = std::move(*Store::open("sqlite3", (dir_.path() / name).string()));
    ManifestRecord record;
    record.tenant_id = kDirected;
    record.target = kModel;
    record.content = "{}";
    record.digest = Digest::of(record.content).to_string();
    record.length = 2;
    record.release_counter = 4;
    ASSERT_TRUE(store_->stage_manifest(record));
    director_ = std::make_unique<Director>(*store_, key_, clock_, TrustConfig{});
  }

  NamedBytes root(std::int64_t version,
                  const security::Signer& online,
                  std::int64_t threshold = 1) const {
    Json::Object keys;
    for (const security::Signer* key :
         std::array<const security::Signer*, 2>{root_key_.get(), &online}) {
      keys[key->public_key().key_id()] = key->public_key().to_tuf_json();
    }
    const auto role = [](const security::Signer& key, std::int64_t needed) {
      return Json::Object{{"keyids", Json::Array{key.public_key().key_id()}},
                          {"threshold", needed}};
    };
    Json::Object part{{"_type", "root"},
                      {"spec_version", "1.0.34"},
                      {"consistent_snapshot", true},
                      {"version", version},
                      {"expires", to_rfc3339(clock_.wall_now() + 24h * 3650)},
                      {"keys", std::move(keys)},
                      {"roles",
                       Json::Object{{"root", role(*root_key_, 1)},
                                    {"targets", role(online, threshold)},
                                    {"snapshot", role(online, 1)},
                                    {"timestamp", role(online, 1)}}}};
    const Json envelope = Json::Object{{"signatures", Json::Array{}}, {"signed", std::move(part)}};
    return {std::to_string(version) + ".root.json",
            *tuf::sign_metadata(envelope.dump(), *root_key_)};
  }

  void desire(const std::string& device, const std::string& slot, const std::string& target) {
    DesiredSlotRecord record;
    record.device_id = device;
    record.slot = slot;
    record.target = target;
    record.manifest_digest = target.empty() ? "" : Digest::of("{}").to_string();
    ASSERT_TRUE(store_->set_desired(record));
  }

  DirectorView view(const std::string& device) {
    auto made = director_->view({device, kDirected, "x86_64"}, *store_->desired(device));
    EXPECT_TRUE(made) << made.error().to_string();
    EXPECT_TRUE(made && *made);
    return made && *made ? **made : DirectorView{};
  }

  test::TempDir dir_;
  FakeClock clock_{WallTime{1'780'000'000'000ms}};
  std::shared_ptr<security::Signer> key_ = director_key();
  std::shared_ptr<security::Signer> root_key_ = director_key();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Director> director_;
  NamedBytes root_;
};

TEST_F(DirectorTest, WithoutARootThereIsNoDirector) {
  EXPECT_EQ(*director_->root_version(kDirected), 0);
  const auto made = director_->view({"dev-1", kDirected, ""}, {});
  ASSERT_TRUE(made);
  EXPECT_FALSE(*made);
  EXPECT_EQ(director_->read({"dev-1", kDirected, ""}, "timestamp.json").error().code(),
            Error::Code::kNotFound);
}

TEST_F(DirectorTest, ADeviceVerifiesWhatIsSignedForIt) {
  ASSERT_EQ(*director_->publish(kDirected, {root_}), 1);
  DirectedClient device{"dev-1", root_.content};
  const auto nothing = device.take(view("dev-1").files, clock_.wall_now());
  ASSERT_TRUE(nothing) << nothing.error().to_string();
  EXPECT_TRUE(nothing->empty());
  desire("dev-1", "default", kModel);
  desire("dev-1", "vision", "");
  const auto taken = device.take(view("dev-1").files, clock_.wall_now());
  ASSERT_TRUE(taken) << taken.error().to_string();
  ASSERT_EQ(taken->size(), 2U);
  EXPECT_EQ(taken->front().target, kModel);
  EXPECT_EQ(taken->front().generation, 1U);
  EXPECT_EQ(taken->front().hardware, "x86_64");
  EXPECT_EQ(taken->front().file.length, 2U);
  EXPECT_EQ(taken->front().file.release_counter(), 4);
  EXPECT_EQ(*taken->front().file.sha256(), Digest::of("{}"));
  EXPECT_TRUE(taken->back().target.empty());
  // Byte for byte the same for whoever asks again, here and at another controller.
  Director other{*store_, key_, clock_, TrustConfig{}};
  for (const auto& file : view("dev-1").files) {
    EXPECT_EQ(*director_->read({"dev-1", kDirected, "x86_64"}, file.name), file.content);
    EXPECT_EQ(*other.read({"dev-1", kDirected, "x86_64"}, file.name), file.content);
  }
}

TEST_F(DirectorTest, AnotherDevicesWordIsRefused) {
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  desire("dev-2", "default", kModel);
  DirectedClient device{"dev-1", root_.content};
  const auto taken = device.take(view("dev-2").files, clock_.wall_now());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), Error::Code::kMetadataMismatch);
}

TEST_F(DirectorTest, EachChangeAndEachPeriodIsANewVersion) {
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  DirectedClient device{"dev-1", root_.content};
  std::vector<NamedBytes> old;
  std::int64_t last = 0;
  for (int step = 0; step < 40; ++step) {
    if (step % 2 == 0) {
      desire("dev-1", "default", step % 4 == 0 ? kModel : "");
    } else {
      clock_.advance(24h * 4);
    }
    const DirectorView made = view("dev-1");
    EXPECT_GT(made.version, last) << step;
    last = made.version;
    const auto taken = device.take(made.files, clock_.wall_now());
    ASSERT_TRUE(taken) << step << " " << taken.error().to_string();
    EXPECT_EQ(device.version(), made.version);
    if (!old.empty()) {
      EXPECT_EQ(device.take(old, clock_.wall_now()).error().code(), Error::Code::kRollback);
    }
    old = made.files;
  }
  // What it said ends: a fortnight later the last word is no news.
  clock_.advance(24h * 15);
  DirectedClient fresh{"dev-1", root_.content};
  EXPECT_EQ(fresh.take(old, clock_.wall_now()).error().code(), Error::Code::kMetadataExpired);
}

TEST_F(DirectorTest, ARestoredStoreGoesOnAboveWhatTheDeviceHasSeen) {
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  DirectedClient device{"dev-1", root_.content};
  desire("dev-1", "default", kModel);
  desire("dev-1", "vision", kModel);
  desire("dev-1", "vision", "");
  ASSERT_TRUE(device.take(view("dev-1").files, clock_.wall_now()));
  // From a backup that knew nothing of the device.
  open("restored.db");
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  desire("dev-1", "default", "");
  EXPECT_EQ(device.take(view("dev-1").files, clock_.wall_now()).error().code(),
            Error::Code::kRollback);
  ASSERT_TRUE(director_->pass_version("dev-1", device.version()));
  const auto taken = device.take(view("dev-1").files, clock_.wall_now());
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(taken->size(), 1U);
  // It is remembered, and changes nothing where it is not needed.
  Director again{*store_, key_, clock_, TrustConfig{}};
  EXPECT_EQ((**again.view({"dev-1", kDirected, "x86_64"}, *store_->desired("dev-1"))).version,
            view("dev-1").version);
  const std::int64_t version = view("dev-1").version;
  ASSERT_TRUE(director_->pass_version("dev-1", version));
  EXPECT_EQ(view("dev-1").version, version);
}

TEST_F(DirectorTest, OnlyRootsThatNameTheDirectorKeyAreTaken) {
  const auto other = director_key();
  const auto foreign = director_->publish(kDirected, {root(1, *other)});
  EXPECT_EQ(foreign.error().code(), Error::Code::kFailedPrecondition);
  EXPECT_NE(foreign.error().message().find(key_->public_key().key_id()), std::string::npos);
  EXPECT_EQ(director_->publish(kDirected, {{"1.targets.json", "{}"}}).error().code(),
            Error::Code::kInvalidArgument);
  EXPECT_EQ(director_->publish(kDirected, {}).error().code(), Error::Code::kInvalidArgument);
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  EXPECT_FALSE(director_->publish(kDirected, {root(3, *key_)})) << "a version is left out";
}

TEST_F(DirectorTest, AControllerWithAnotherKeySignsNothingUntilARootNamesIt) {
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  DirectedClient device{"dev-1", root_.content};
  ASSERT_TRUE(device.take(view("dev-1").files, clock_.wall_now()));
  const auto next_key = director_key();
  director_ = std::make_unique<Director>(*store_, next_key, clock_, TrustConfig{});
  EXPECT_EQ(director_->view({"dev-1", kDirected, ""}, {}).error().code(),
            Error::Code::kFailedPrecondition);
  ASSERT_EQ(*director_->publish(kDirected, {root(2, *next_key)}), 2);
  auto files = *director_->roots_after(kDirected, 1);
  ASSERT_EQ(files.size(), 1U);
  for (auto& file : view("dev-1").files) {
    files.push_back(std::move(file));
  }
  const auto taken = device.take(files, clock_.wall_now());
  EXPECT_TRUE(taken) << taken.error().to_string();
  EXPECT_TRUE(director_->roots_after(kDirected, 2)->empty());
}

TEST_F(DirectorTest, ATargetWithoutAManifestIsNotDirectedTo) {
  ASSERT_TRUE(director_->publish(kDirected, {root_}));
  desire("dev-1", "default", "models/acme/other/1.0.0");
  const auto made = director_->view({"dev-1", kDirected, "x86_64"}, *store_->desired("dev-1"));
  EXPECT_EQ(made.error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::controller
