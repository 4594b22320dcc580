// Whose signature counts for an imported model, and what it must cover: every file, both ways.
#include "skerry/agent/signer_list.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/common/clock.hpp"
#include "skerry/security/model_signing/sign.hpp"

#include "model_signing_fixture.hpp"
#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

namespace oms = security::model_signing;
using oms::test::CertificateSpec;
using oms::test::issue;
using oms::test::KeyPair;
using oms::test::test_now;
using oms::test::TestCertificate;
using registry::FileRole;
using skerry::test::make_file;
using skerry::test::SampleFile;
using ::testing::HasSubstr;

oms::SigningKey signing_key_of(const KeyPair& key) {
  return *oms::SigningKey::from_pem(key.private_pem());
}

class SignerListTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream{dir_ / name, std::ios::binary} << content;
    return (dir_ / name).string();
  }
  [[nodiscard]] SignerList load(const ImportConfig& config) {
    auto list = SignerList::load(fs_, config);
    EXPECT_TRUE(list) << list.error().to_string();
    return *std::move(list);
  }
  static oms::Statement any_statement() {
    oms::Statement statement;
    statement.model_name = "m";
    const Digest digest = Digest::of("bytes");
    statement.resources.push_back(
        {"m.gguf", 0, 0, Bytes{digest.bytes().begin(), digest.bytes().end()}});
    return statement;
  }

  skerry::test::TempDir dir_;
  SystemFileSystem fs_;
};

TEST_F(SignerListTest, AKeyCountsWhileItIsListed) {
  const KeyPair listed{"P-256"};
  const KeyPair stranger{"P-256"};
  ImportConfig config;
  config.signer_keys = {write("listed.pem", listed.public_pem())};
  const SignerList list = load(config);
  const auto good = oms::sign_statement(any_statement(), signing_key_of(listed));
  const auto bad = oms::sign_statement(any_statement(), signing_key_of(stranger));
  ASSERT_TRUE(good && bad);
  const auto found = list.authenticate(*good, test_now());
  ASSERT_TRUE(found && *found);
  const auto nobody = list.authenticate(*bad, test_now());
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(*nobody);
  EXPECT_FALSE(list.authenticate("{", test_now())) << "a broken bundle is an error, not nobody";

  registry::Vouch vouch;
  vouch.kind = registry::VouchKind::kSigner;
  vouch.who = SignerList::name_of((*found)->signer);
  vouch.identity = SignerList::identity_of((*found)->signer);
  EXPECT_TRUE(list.still_lists(vouch));
  EXPECT_FALSE(load({}).still_lists(vouch));
}

TEST_F(SignerListTest, ACertificateCountsByItsAnchorAndItsSubject) {
  const KeyPair authority{"P-256"};
  const KeyPair key{"P-384"};
  CertificateSpec root;
  root.name = "Authority";
  root.ca = true;
  root.key_usage = "critical,keyCertSign";
  root.extended_key_usage = "";
  const TestCertificate anchor = issue(root, authority, authority);
  CertificateSpec spec;
  spec.name = "Maker";
  const TestCertificate leaf = issue(spec, key, authority, &anchor);
  ImportConfig config;
  config.signer_anchors = {write("anchor.pem", anchor.pem())};
  const auto bundle =
      oms::sign_statement(any_statement(), signing_key_of(key), {leaf.der()}, test_now());
  ASSERT_TRUE(bundle) << bundle.error().to_string();
  const auto found = load(config).authenticate(*bundle, test_now());
  ASSERT_TRUE(found && *found);

  registry::Vouch vouch;
  vouch.kind = registry::VouchKind::kSigner;
  vouch.who = SignerList::name_of((*found)->signer);
  vouch.identity = SignerList::identity_of((*found)->signer);
  EXPECT_EQ(vouch.who, "certificate CN=Maker");
  EXPECT_TRUE(load(config).still_lists(vouch));
  config.signer_subjects = {"CN=Maker"};
  EXPECT_TRUE(load(config).still_lists(vouch));
  config.signer_subjects = {"CN=Another"};
  EXPECT_FALSE(load(config).still_lists(vouch)) << "a shorter list of subjects takes effect";
  const auto unnamed = load(config).authenticate(*bundle, test_now());
  ASSERT_TRUE(unnamed);
  EXPECT_FALSE(*unnamed);
  const auto late = load({}).authenticate(*bundle, test_now());
  ASSERT_TRUE(late);
  EXPECT_FALSE(*late) << "without anchors no certificate counts";
}

TEST_F(SignerListTest, SaysWhichFileOfTheConfigurationIsWrong) {
  ImportConfig config;
  config.signer_keys = {write("broken.pem", "not a key")};
  const auto list = SignerList::load(fs_, config);
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().code(), Error::Code::kConfigInvalid);
  EXPECT_THAT(list.error().message(), HasSubstr("broken.pem"));
}

// A manifest of two variants with one file name and a card, and a statement over it.
class SignedFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs_.create_directories(dir_ / "state", 0750));
    auto catalogue = registry::Catalogue::open(dir_ / "state/registry.db", clock_);
    ASSERT_TRUE(catalogue);
    catalogue_ = *std::move(catalogue);
    auto store = registry::BlobStore::open(fs_, *catalogue_, clock_, dir_ / "state");
    ASSERT_TRUE(store) << store.error().to_string();
    store_ = *std::move(store);
    manifest_ =
        skerry::test::make_manifest("1.0.0",
                                    1,
                                    {skerry::test::make_variant("cpu", {cpu_, cpu_data_}),
                                     skerry::test::make_variant("int8", {int8_, int8_data_})});
    manifest_.shared = {card_.entry};
    for (const SampleFile* file : {&cpu_, &cpu_data_, &int8_, &int8_data_, &card_}) {
      ASSERT_TRUE(store_->put(file->bytes));
    }
    statement_.serialization.method = oms::Method::kFiles;
    add("cpu/m.onnx", cpu_);
    add("cpu/m.data", cpu_data_);
    add("int8/m.onnx", int8_);
    add("int8/m.data", int8_data_);
    add("README.md", card_);
  }
  void add(const std::string& path, const SampleFile& file) {
    statement_.resources.push_back(
        {path, 0, 0, Bytes{file.digest().bytes().begin(), file.digest().bytes().end()}});
  }
  [[nodiscard]] Result<void> check() { return check_signed_files(statement_, manifest_, *store_); }

  skerry::test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{test_now()};
  std::unique_ptr<registry::Catalogue> catalogue_;
  std::unique_ptr<registry::BlobStore> store_;
  const SampleFile cpu_ = make_file(FileRole::kWeights, "m.onnx", 300'000, 1);
  const SampleFile cpu_data_ = make_file(FileRole::kWeights, "m.data", 700'000, 2);
  const SampleFile int8_ = make_file(FileRole::kWeights, "m.onnx", 1000, 3);
  const SampleFile int8_data_ = make_file(FileRole::kWeights, "m.data", 2000, 4);
  const SampleFile card_ = make_file(FileRole::kCard, "README.md", 100, 5);
  registry::Manifest manifest_;
  oms::Statement statement_;
};

TEST_F(SignedFilesTest, TheSameFilesInTheSameFoldersAreCovered) {
  EXPECT_TRUE(check()) << check().error().to_string();
}

TEST_F(SignedFilesTest, EveryFileMustBeSignedAndEverySignedFileBeHere) {
  const registry::Manifest whole = manifest_;
  manifest_.shared.push_back(make_file(FileRole::kConfig, "extra.json", 10, 6).entry);
  EXPECT_EQ(check().error().code(), Error::Code::kSignatureInvalid);
  manifest_ = whole;
  manifest_.shared.clear();
  EXPECT_THAT(check().error().message(), HasSubstr("README.md is signed"));
  manifest_ = whole;
  manifest_.variants.pop_back();
  EXPECT_THAT(check().error().message(), HasSubstr("int8/m.data is signed"));
  manifest_ = whole;
  manifest_.shared[0] = make_file(FileRole::kCard, "README.md", 100, 7).entry;
  EXPECT_EQ(check().error().code(), Error::Code::kSignatureInvalid);
}

TEST_F(SignedFilesTest, TwoSignedModelsAreNotMixedIntoAThird) {
  // Both files are signed, but they never lay beside one another.
  std::swap(manifest_.variants[0].files[1], manifest_.variants[1].files[1]);
  const auto mixed = check();
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().code(), Error::Code::kSignatureInvalid);
  EXPECT_THAT(mixed.error().to_string(), HasSubstr("variant cpu"));
}

TEST_F(SignedFilesTest, TheSignatureItselfIsNotSigned) {
  manifest_.shared.push_back(make_file(FileRole::kSignature, "model.sig", 10, 8).entry);
  EXPECT_TRUE(check());
}

TEST_F(SignedFilesTest, AnEngineOptionIsNothingThatWasSigned) {
  manifest_.annotations.emplace("skerry.option.threads", "64");
  EXPECT_THAT(check().error().message(), HasSubstr("skerry.option.threads"));
}

TEST_F(SignedFilesTest, ShardsAreReadAndOtherDigestsRefused) {
  statement_.serialization.method = oms::Method::kShards;
  statement_.serialization.shard_size = 250'000;
  std::vector<oms::Resource> shards;
  const std::pair<std::string, const SampleFile*> files[] = {{"cpu/m.onnx", &cpu_},
                                                             {"cpu/m.data", &cpu_data_},
                                                             {"int8/m.onnx", &int8_},
                                                             {"int8/m.data", &int8_data_},
                                                             {"README.md", &card_}};
  for (const auto& [path, file] : files) {
    for (std::size_t at = 0; at < file->bytes.size(); at += 250'000) {
      const std::size_t end = std::min<std::size_t>(at + 250'000, file->bytes.size());
      const Digest digest = Digest::of(ByteView{file->bytes}.subspan(at, end - at));
      shards.push_back({path, at, end, Bytes{digest.bytes().begin(), digest.bytes().end()}});
    }
  }
  statement_.resources = shards;
  EXPECT_TRUE(check()) << check().error().to_string();
  statement_.resources[1].digest[0] ^= 1U;
  EXPECT_EQ(check().error().code(), Error::Code::kSignatureInvalid);
  statement_.resources = shards;
  // A gap that no shard covers.
  statement_.resources.erase(statement_.resources.begin());
  EXPECT_EQ(check().error().code(), Error::Code::kSignatureInvalid);
  statement_.resources = shards;
  statement_.serialization.hash = oms::HashType::kBlake2b;
  EXPECT_EQ(check().error().code(), Error::Code::kUnimplemented);
}

}  // namespace
}  // namespace skerry::agent
