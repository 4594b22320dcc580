// What a stick may make a device install: only what both repositories signed, for this device, in
// time, and not older than what was seen. Named after the attacks.

#include "skerry/registry/bundle_verify.hpp"

#include <fstream>

#include "skerry/common/confined_folder.hpp"
#include "skerry/security/signer.hpp"
#include "skerry/security/tuf/memory_metadata_store.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

namespace tuf = security::tuf;
namespace stdfs = std::filesystem;

constexpr std::chrono::hours kDay{24};
const WallTime kBegin = *parse_rfc3339("2026-03-01T00:00:00Z");

// A repository in a folder with one key for everything.
class SignedRepository {
 public:
  SignedRepository(const stdfs::path& folder, WallTime now)
      : key_(*security::make_memory_signer(security::KeyAlgorithm::kEd25519)) {
    const tuf::RoleSetup mine{{key_->public_key()}, 1};
    repository_ = *tuf::Repository::init(fs_, folder, {mine, mine, mine, mine}, lifetimes, now);
    publish(now);
  }

  void list(const std::string& path, std::string_view content, const Json& custom, WallTime now) {
    ASSERT_TRUE(repository_->add_target_content(path, content, custom, lifetimes, now));
    publish(now);
  }
  void unlist(const std::string& path, WallTime now) {
    ASSERT_TRUE(repository_->remove_target(path, lifetimes, now));
    publish(now);
  }
  void publish(WallTime now) {
    const auto waiting = repository_->staged_roles();
    ASSERT_TRUE(waiting);
    for (const tuf::RoleName& role : *waiting) {
      ASSERT_TRUE(repository_->sign(role, *key_));
    }
    const auto done = repository_->publish(*key_, *key_, lifetimes, now);
    ASSERT_TRUE(done) << done.error().to_string();
  }
  [[nodiscard]] stdfs::path metadata() const { return repository_->directory() / "metadata"; }
  [[nodiscard]] std::string first_root() const { return *repository_->read("1.root.json"); }

  tuf::RepositoryLifetimes lifetimes;

 private:
  SystemFileSystem fs_;
  std::unique_ptr<security::Signer> key_;
  std::unique_ptr<tuf::Repository> repository_;
};

class BundleVerifyTest : public ::testing::Test {
 protected:
  BundleVerifyTest() : image(dir / "image", kBegin), offline(dir / "offline", kBegin) {
    const auto file = test::make_file(FileRole::kWeights, "m.gguf", 300'000, 3);
    const stdfs::path blobs = dir / "packed/blobs/sha256";
    stdfs::create_directories(blobs);
    write(blobs / file.digest().hex(), as_text(file.bytes));
    write(blobs / file.index.digest().hex(), as_text(file.index.serialise()));
    manifest = test::make_manifest("1.0.0", 1, {test::make_variant("q4", {file})});
    bytes = *manifest.serialise();
    directive.id = "b1";
    directive.sequence = 4;
    directive.devices = {"gw-*"};
    image.list(manifest.target_path(), bytes, Json{Json::Object{}}, kBegin);
    pin(offline_store, offline.first_root());
    pin(image_store, image.first_root());
  }

  static void write(const stdfs::path& path, std::string_view text) {
    std::ofstream{path, std::ios::binary} << text;
  }
  static void pin(tuf::MetadataStore& store, const std::string& root) {
    tuf::MetadataUpdate update;
    update.files.push_back({tuf::Role::kRoot, 1, root});
    ASSERT_TRUE(store.commit(update));
  }
  [[nodiscard]] stdfs::path folder() const { return dir / "stick"; }

  // Fills the stick: blobs, directive, metadata as it is now.
  void make() {
    stdfs::remove_all(folder());
    auto writer = OciLayoutWriter::create(fs, folder());
    directive.blobs.clear();
    const auto listed = add_model(*writer, manifest, bytes, dir / "packed/blobs", directive.blobs);
    ASSERT_TRUE(listed) << listed.error().to_string();
    writer->list(*listed, "1.0.0");
    ASSERT_TRUE(writer->finish());
    directive.slots["default"] = {wanted_target.empty() ? manifest.target_path() : wanted_target,
                                  listed->digest,
                                  bytes.size()};
    offline.list(directive.target_path(), directive.serialise(), Json{Json::Object{}}, now);
    copy_metadata();
  }
  void copy_metadata() {
    stdfs::create_directories(folder() / "skerry-bundle");
    write(folder() / kBundleDirective, directive.serialise());
    for (const auto& [from, to] : {std::pair{image.metadata(), kBundleImageMetadata},
                                   std::pair{offline.metadata(), kBundleOfflineMetadata}}) {
      stdfs::remove_all(folder() / to);
      stdfs::copy(from, folder() / to, stdfs::copy_options::recursive);
    }
  }
  Result<VerifiedBundle> verify() {
    const auto stick = ConfinedFolder::open(folder());
    if (!stick) {
      return stick.error();
    }
    const BundleTrust trust{offline_store,
                            image_store,
                            {now, security::TimeQuality::kSynchronised},
                            names,
                            sequence_floor};
    return verify_bundle(**stick, "", trust);
  }
  void expect_refused(Error::Code code, const std::string& word) {
    const auto bundle = verify();
    ASSERT_FALSE(bundle) << "taken";
    EXPECT_EQ(bundle.error().code(), code) << bundle.error().to_string();
    EXPECT_NE(bundle.error().message().find(word), std::string::npos) << bundle.error().to_string();
  }

  test::TempDir dir;
  SystemFileSystem fs;
  WallTime now = kBegin + kDay;
  SignedRepository image;
  SignedRepository offline;
  tuf::MemoryMetadataStore offline_store;
  tuf::MemoryMetadataStore image_store;
  Manifest manifest;
  std::string bytes;
  std::string wanted_target;
  BundleDirective directive;
  std::vector<std::string> names{"gw-17"};
  std::uint64_t sequence_floor = 0;
};

TEST_F(BundleVerifyTest, TakesWhatBothRepositoriesSigned) {
  make();
  const auto bundle = verify();
  ASSERT_TRUE(bundle) << bundle.error().to_string();
  EXPECT_EQ(bundle->directive, directive);
  ASSERT_EQ(bundle->models.size(), 1U);
  EXPECT_EQ(bundle->models[0].slot, "default");
  EXPECT_EQ(bundle->models[0].manifest, bytes);
  EXPECT_TRUE(bundle->remarks.empty());
  EXPECT_TRUE(bundle->issued);
  // Again is fine: that is how an interrupted import goes on.
  sequence_floor = 4;
  EXPECT_TRUE(verify());
}

TEST_F(BundleVerifyTest, TakesNoRootFromTheStick) {
  make();
  offline_store = tuf::MemoryMetadataStore{};
  expect_refused(Error::Code::kFailedPrecondition, "trust.offline_root_file");
  pin(offline_store, offline.first_root());
  image_store = tuf::MemoryMetadataStore{};
  expect_refused(Error::Code::kFailedPrecondition, "trust.root_file");
}

TEST_F(BundleVerifyTest, RefusesAnotherPartysStick) {
  make();
  // All of it in order, but signed by keys that this device does not know.
  const SignedRepository foreign_offline{dir / "foreign", kBegin};
  const SignedRepository foreign_image{dir / "foreign-image", kBegin};
  image_store = tuf::MemoryMetadataStore{};
  pin(image_store, foreign_image.first_root());
  expect_refused(Error::Code::kThresholdNotMet, "image repository");
  offline_store = tuf::MemoryMetadataStore{};
  pin(offline_store, foreign_offline.first_root());
  expect_refused(Error::Code::kThresholdNotMet, "offline repository");
}

TEST_F(BundleVerifyTest, RefusesAChangedDirective) {
  make();
  BundleDirective changed = directive;
  changed.devices = {"*"};
  write(folder() / kBundleDirective, changed.serialise());
  expect_refused(Error::Code::kMetadataMismatch, "not the one that was signed");
  changed = directive;
  changed.id = "b2";
  write(folder() / kBundleDirective, changed.serialise());
  expect_refused(Error::Code::kPermissionDenied, "does not list");
}

TEST_F(BundleVerifyTest, RefusesARevokedBundleOnceTheDeviceHasHeard) {
  make();
  ASSERT_TRUE(verify());
  // Another stick tells of a newer offline repository without b1.
  const BundleDirective first = directive;
  const stdfs::path kept = dir / "first-stick";
  stdfs::copy(folder(), kept, stdfs::copy_options::recursive);
  offline.unlist(directive.target_path(), now);
  directive.id = "b2";
  directive.sequence = 5;
  make();
  ASSERT_TRUE(verify());
  stdfs::remove_all(folder());
  stdfs::rename(kept, folder());
  expect_refused(Error::Code::kPermissionDenied, "revoked");
}

TEST_F(BundleVerifyTest, AnOlderStickThatIsStillListedIsTaken) {
  make();
  const stdfs::path kept = dir / "first-stick";
  stdfs::copy(folder(), kept, stdfs::copy_options::recursive);
  const BundleDirective first = directive;
  directive.id = "b2";
  make();
  ASSERT_TRUE(verify());
  stdfs::remove_all(folder());
  stdfs::rename(kept, folder());
  const auto bundle = verify();
  ASSERT_TRUE(bundle) << bundle.error().to_string();
  EXPECT_EQ(bundle->directive, first);
  ASSERT_FALSE(bundle->remarks.empty());
  EXPECT_NE(bundle->remarks[0].find("older"), std::string::npos);
}

TEST_F(BundleVerifyTest, RefusesOtherDevicesEndsAndOldSequences) {
  directive.not_after = kBegin + 10 * kDay;
  make();
  names = {"lab-1"};
  expect_refused(Error::Code::kPermissionDenied, "other devices");
  names = {"lab-1", "gw-2"};
  sequence_floor = 5;
  expect_refused(Error::Code::kRollback, "older than 5");
  sequence_floor = 4;
  EXPECT_TRUE(verify());
  now = kBegin + 11 * kDay;
  offline.publish(now);
  image.publish(now);
  copy_metadata();
  expect_refused(Error::Code::kMetadataExpired, "may not be used after");
}

TEST_F(BundleVerifyTest, OfflineMetadataMustNotHaveEnded) {
  make();
  // The timestamp lives a week by default.
  now = kBegin + 20 * kDay;
  expect_refused(Error::Code::kMetadataExpired, "offline repository");
}

TEST_F(BundleVerifyTest, OnlyTheOnlineRolesOfTheImageRepositoryMayHaveEnded) {
  offline.lifetimes.timestamp = offline.lifetimes.snapshot = offline.lifetimes.targets = 800 * kDay;
  offline.lifetimes.root = 800 * kDay;
  make();
  now = kBegin + 60 * kDay;
  const auto bundle = verify();
  ASSERT_TRUE(bundle) << bundle.error().to_string();
  // Timestamp and snapshot: let pass, and said so.
  EXPECT_EQ(bundle->remarks.size(), 2U);
  // The image targets and root live a year, and so does the offline root.
  now = kBegin + 500 * kDay;
  image_store = tuf::MemoryMetadataStore{};
  pin(image_store, image.first_root());
  const auto late = verify();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Error::Code::kMetadataExpired);
}

TEST_F(BundleVerifyTest, RefusesAModelThatTheImageRepositoryDidNotSign) {
  wanted_target = "models/acme/log-triage/9.9.9";
  make();
  expect_refused(Error::Code::kNotFound, "models/acme/log-triage/9.9.9");
  // Signed, but with other bytes: mix and match.
  image.list(wanted_target, "{}", Json{Json::Object{}}, now);
  make();
  expect_refused(Error::Code::kMetadataMismatch, "the image repository signed");
}

TEST_F(BundleVerifyTest, MissingExtraAndChangedFilesAreRefused) {
  make();
  const Digest weights = manifest.all_files()[0].digest;
  const stdfs::path blob = folder() / "blobs/sha256" / weights.hex();
  write(folder() / "blobs/sha256" / std::string(64, '0'), "x");
  expect_refused(Error::Code::kMetadataMismatch, "does not list");
  stdfs::remove(folder() / "blobs/sha256" / std::string(64, '0'));
  stdfs::remove(blob);
  expect_refused(Error::Code::kNotFound, "lacks a blob");
  stdfs::create_symlink("/etc/passwd", blob);
  expect_refused(Error::Code::kPermissionDenied, "links");
  make();
  // The manifest's own bytes are read here; those of weights when they are copied.
  const stdfs::path own = folder() / "blobs/sha256" / Digest::of(bytes).hex();
  std::string flipped = bytes;
  flipped[10] ^= 1;
  write(own, flipped);
  expect_refused(Error::Code::kDigestMismatch, "other bytes");
  make();
  stdfs::remove(folder() / "index.json");
  expect_refused(Error::Code::kNotFound, "no bundle");
}

}  // namespace
}  // namespace skerry::registry
