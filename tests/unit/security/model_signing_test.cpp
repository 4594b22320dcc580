#include <gmock/gmock.h>
#include <sys/stat.h>

#include "skerry/common/json.hpp"
#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/model_tree.hpp"
#include "skerry/security/model_signing/sign.hpp"
#include "skerry/security/model_signing/verify.hpp"

#include "model_signing_fixture.hpp"

namespace skerry::security::model_signing::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelSigning : public ::testing::Test {
 protected:
  void SetUp() override {
    model_.write("config.json", "{}");
    model_.write("weights.bin", std::string(5000, 'w'));
    model_.write("sub/dir/adapter.bin", "adapter");
  }

  std::string sign(const SignOptions& options = {}) {
    auto statement = describe_model(model_.path(), options);
    EXPECT_TRUE(statement) << (statement ? "" : statement.error().to_string());
    auto bundle = statement ? sign_statement(std::move(*statement), key_.signing())
                            : Result<std::string>{statement.error()};
    EXPECT_TRUE(bundle);
    return bundle ? *bundle : std::string{};
  }

  Result<CheckedModel> verify(const std::string& bundle, const CheckOptions& options = {}) {
    const auto authentic = authenticate(bundle, key_.verify());
    if (!authentic) {
      return authentic.error();
    }
    return check_model(model_.path(), authentic->statement, options);
  }

  static Statement statement_of(const std::string& bundle) {
    const auto parsed = parse_bundle(bundle);
    EXPECT_TRUE(parsed);
    auto statement = parse_statement(parsed->payload);
    EXPECT_TRUE(statement);
    return *statement;
  }

  static std::vector<std::string> paths_of(const Statement& statement) {
    std::vector<std::string> out;
    for (const Resource& resource : statement.resources) {
      out.push_back(resource.path);
    }
    return out;
  }

  ModelFolder model_;
  KeyPair key_{"P-384"};
};

TEST_F(ModelSigning, WhatWasSignedVerifiesOnEveryCurve) {
  for (const char* curve : {"P-256", "P-384", "P-521"}) {
    const KeyPair pair{curve};
    auto statement = describe_model(model_.path(), {});
    ASSERT_TRUE(statement);
    const auto bundle = sign_statement(std::move(*statement), pair.signing());
    ASSERT_TRUE(bundle);
    const auto authentic = authenticate(*bundle, pair.verify());
    ASSERT_TRUE(authentic) << curve;
    EXPECT_EQ(authentic->signer.key_hint, pair.verify().hint());
    EXPECT_EQ(authentic->statement.model_name, "model");
    const auto checked = check_model(model_.path(), authentic->statement, {});
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->files, 3U);
    EXPECT_EQ(checked->bytes, 5009U);
    EXPECT_FALSE(authenticate(*bundle, key_.verify())) << curve;
  }
}

TEST_F(ModelSigning, OtherKeysAreRefusedByName) {
  const KeyPair wrong{"secp256k1"};
  EXPECT_EQ(SigningKey::from_pem(wrong.private_pem()).error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(VerifyKey::from_bytes(wrong.public_pem()).error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(VerifyKey::from_bytes("nonsense").error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(VerifyKey::from_bytes("").error().code(), Error::Code::kKeyInvalid);
}

TEST_F(ModelSigning, CompressedAndDerKeysAreTheSameKey) {
  std::vector<unsigned char> point(256);
  std::size_t size = 0;
  const KeyPair pair{"P-256"};
  EVP_PKEY_set_utf8_string_param(pair.key.get(), "point-format", "compressed");
  ASSERT_EQ(EVP_PKEY_get_octet_string_param(
                pair.key.get(), "encoded-pub-key", point.data(), point.size(), &size),
            1);
  ASSERT_EQ(size, 65U);
  // x with the sign of y.
  std::string compressed(1, (point[64] & 1U) != 0 ? '\x03' : '\x02');
  compressed.append(reinterpret_cast<const char*>(point.data()) + 1, 32);
  const auto key = VerifyKey::from_bytes(compressed);
  ASSERT_TRUE(key);
  const KeyPair plain{"P-256"};
  EXPECT_FALSE(*key == plain.verify());
  const Bytes message{1, 2, 3};
  const auto signature = pair.signing().sign(message);
  ASSERT_TRUE(signature);
  EXPECT_TRUE(key->verify(message, *signature));
}

TEST_F(ModelSigning, ResourcesAreSortedAndTheRootIsTheirDigest) {
  const Statement statement = statement_of(sign());
  EXPECT_THAT(paths_of(statement),
              ElementsAre("config.json", "sub/dir/adapter.bin", "weights.bin"));
  EXPECT_THAT(statement.serialization.ignore_paths,
              ElementsAre(".git", ".gitattributes", ".github", ".gitignore"));
  Sha256 sha;
  for (const Resource& resource : statement.resources) {
    sha.update(ByteView{resource.digest});
  }
  EXPECT_EQ(statement.root, sha.finish());
}

TEST_F(ModelSigning, AnyChangeOfTheModelIsFoundAndNamed) {
  const std::string bundle = sign();
  ASSERT_TRUE(verify(bundle));
  model_.write("config.json", "{ }");
  EXPECT_EQ(verify(bundle).error().code(), Error::Code::kDigestMismatch);
  EXPECT_THAT(verify(bundle).error().message(), HasSubstr("config.json"));
  model_.write("config.json", "{}");
  model_.write("extra.bin", "");
  EXPECT_EQ(verify(bundle).error().code(), Error::Code::kSignatureInvalid);
  EXPECT_THAT(verify(bundle).error().message(),
              HasSubstr("extra.bin is in the model and not signed"));
  std::filesystem::remove(model_ / "extra.bin");
  std::filesystem::remove(model_ / "sub/dir/adapter.bin");
  EXPECT_THAT(verify(bundle).error().message(),
              HasSubstr("sub/dir/adapter.bin is signed and missing"));
}

TEST_F(ModelSigning, UnsignedFilesAreReportedWhereTheyAreTolerated) {
  const std::string bundle = sign();
  model_.write("extra.bin", "x");
  std::filesystem::create_symlink("/etc/passwd", model_ / "link");
  CheckOptions options;
  options.ignore_unsigned_files = true;
  const auto checked = verify(bundle, options);
  ASSERT_TRUE(checked);
  EXPECT_THAT(checked->unsigned_files, ElementsAre("link", "extra.bin"));
  model_.write("config.json", "changed");
  EXPECT_EQ(verify(bundle, options).error().code(), Error::Code::kDigestMismatch);
  std::filesystem::remove(model_ / "config.json");
  EXPECT_THAT(verify(bundle, options).error().message(), HasSubstr("config.json"));
}

TEST_F(ModelSigning, ASignedFileMayNotBecomeALink) {
  const std::string bundle = sign();
  std::filesystem::rename(model_ / "config.json", model_.path().parent_path() / "elsewhere");
  std::filesystem::create_symlink(model_.path().parent_path() / "elsewhere",
                                  model_ / "config.json");
  EXPECT_THAT(verify(bundle).error().message(), HasSubstr("config.json is a symbolic link"));
  CheckOptions options;
  options.ignore_unsigned_files = true;
  EXPECT_FALSE(verify(bundle, options));
}

TEST_F(ModelSigning, LinksPipesAndEmptyModelsAreNotSigned) {
  const auto refusal = [this] {
    const auto statement = describe_model(model_.path(), {});
    return statement ? std::string{} : statement.error().message();
  };
  std::filesystem::create_directory_symlink(".", model_ / "loop");
  EXPECT_THAT(refusal(), HasSubstr("loop is a symbolic link"));
  std::filesystem::remove(model_ / "loop");
  ASSERT_EQ(::mkfifo((model_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("pipe is a pipe"));
  std::filesystem::remove(model_ / "pipe");
  std::filesystem::create_symlink(model_.path(), model_.path().parent_path() / "alias");
  EXPECT_FALSE(describe_model(model_.path().parent_path() / "alias", {}));
  const ModelFolder empty;
  empty.write(".gitignore", "x");
  const auto statement = describe_model(empty.path(), {});
  ASSERT_FALSE(statement);
  EXPECT_THAT(statement.error().message(), HasSubstr("no file to sign"));
}

TEST_F(ModelSigning, OnlyTheTopLevelsGitFilesAreLeftOutByDefault) {
  model_.write(".git/HEAD", "ref");
  model_.write(".gitignore", "x");
  model_.write(".github/ci.yml", "x");
  model_.write(".env", "x");
  model_.write("sub/.gitignore", "x");
  const Statement statement = statement_of(sign());
  EXPECT_THAT(
      paths_of(statement),
      ElementsAre(".env", "config.json", "sub/.gitignore", "sub/dir/adapter.bin", "weights.bin"));
}

TEST_F(ModelSigning, IgnoredPathsAreExactAndRecorded) {
  model_.write("cache/a", "1");
  model_.write("sub/cache", "2");
  SignOptions options;
  options.ignore_paths = {"cache"};
  const std::string bundle = sign(options);
  EXPECT_THAT(paths_of(statement_of(bundle)),
              ElementsAre("config.json", "sub/cache", "sub/dir/adapter.bin", "weights.bin"));
  model_.write("cache/a", "changed");
  const auto checked = verify(bundle);
  ASSERT_TRUE(checked);
  EXPECT_THAT(checked->ignored, ElementsAre("cache"));
  CheckOptions check;
  check.ignore_paths = {"weights.bin"};
  EXPECT_THAT(verify(bundle, check).error().message(),
              HasSubstr("weights.bin is signed and cannot be ignored"));
  options.ignore_paths = {"../outside"};
  EXPECT_EQ(describe_model(model_.path(), options).error().code(), Error::Code::kInvalidArgument);
}

TEST_F(ModelSigning, ShardsCoverEveryByte) {
  model_.write("empty.bin", "");
  model_.write("with:colon", "0123456789");
  SignOptions options;
  options.method = Method::kShards;
  options.shard_size = 1024;
  const std::string bundle = sign(options);
  const Statement statement = statement_of(bundle);
  EXPECT_EQ(statement.resources.size(), 8U);  // 5 of weights.bin, 1 each of the other three
  ASSERT_TRUE(verify(bundle));
  std::string content(5000, 'w');
  content.back() = 'x';
  model_.write("weights.bin", content);
  EXPECT_THAT(verify(bundle).error().message(),
              HasSubstr("weights.bin is not what was signed in bytes 4096"));
  model_.write("weights.bin", std::string(5001, 'w'));
  EXPECT_EQ(verify(bundle).error().code(), Error::Code::kSizeMismatch);
  model_.write("weights.bin", std::string(4096, 'w'));
  EXPECT_EQ(verify(bundle).error().code(), Error::Code::kSizeMismatch);
}

TEST_F(ModelSigning, Blake2bIsAnotherDigest) {
  SignOptions options;
  options.hash = HashType::kBlake2b;
  const std::string bundle = sign(options);
  EXPECT_EQ(statement_of(bundle).resources.front().digest.size(), 64U);
  EXPECT_TRUE(verify(bundle));
  model_.write("config.json", "{ }");
  EXPECT_EQ(verify(bundle).error().code(), Error::Code::kDigestMismatch);
}

TEST_F(ModelSigning, OneFileIsAModelByItsName) {
  auto statement = describe_model(model_ / "weights.bin", {});
  ASSERT_TRUE(statement);
  EXPECT_THAT(paths_of(*statement), ElementsAre("weights.bin"));
  EXPECT_EQ(statement->model_name, "weights.bin");
  EXPECT_TRUE(check_model(model_ / "weights.bin", *statement, {}));
  EXPECT_FALSE(check_model(model_ / "config.json", *statement, {}));
  // The older form of the same.
  statement->resources.front().path = ".";
  EXPECT_TRUE(check_model(model_ / "weights.bin", *statement, {}));
  EXPECT_FALSE(check_model(model_.path(), *statement, {}));
}

TEST_F(ModelSigning, FileNamesKeepTheirBytes) {
  model_.write("模型.bin", "m");
  model_.write("file (copy) \"q\".bin", "c");
  const std::string bundle = sign();
  EXPECT_TRUE(verify(bundle));
  std::ofstream{model_ / "bad\xff.bin"} << "x";
  EXPECT_THAT(describe_model(model_.path(), {}).error().message(), HasSubstr("not UTF-8"));
}

TEST_F(ModelSigning, PathsInsideTheModel) {
  EXPECT_EQ(path_inside("/m/x", "/m/x/a/b"), "a/b");
  EXPECT_EQ(path_inside("/m/x/", "/m/x/a/"), "a");
  EXPECT_EQ(path_inside("/m/x", "/m/x/../y"), "");
  EXPECT_EQ(path_inside("/m/x", "/m/x"), "");
  EXPECT_EQ(path_inside("/m/x", "/m/xy"), "");
}

TEST_F(ModelSigning, ProgressEndsAtAllBytes) {
  const std::string bundle = sign();
  CheckOptions options;
  std::uint64_t last = 0;
  options.progress = [&last](std::uint64_t done, std::uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, 5009U);
    last = done;
  };
  ASSERT_TRUE(verify(bundle, options));
  EXPECT_EQ(last, 5009U);
}

}  // namespace
}  // namespace skerry::security::model_signing::test
