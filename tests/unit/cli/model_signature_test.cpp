// skerry model sign and skerry model verify, as people use them.

#include <filesystem>

#include <gmock/gmock.h>

#include "skerry/common/json.hpp"

#include "cli_fixture.hpp"
#include "model_signing_fixture.hpp"

namespace skerry::cli::test {
namespace {

using ::testing::HasSubstr;

namespace oms_test = security::model_signing::test;

class ModelSignatureTest : public CommandTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(path("model/sub"));
    write("model/config.json", "{}");
    write("model/sub/weights.bin", "0123456789");
    write_key("key.pem", key_);
  }

  void write_key(const std::string& name, const oms_test::KeyPair& key) {
    ASSERT_TRUE(write_file_atomic(fs_, path(name), key.private_pem(), 0600));
    write(name + ".pub", key.public_pem());
  }

  int sign(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"model", "sign", path("model"), "--key", path("key.pem")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  int verify(const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"model", "verify", path("model")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  int verify() { return verify({"--public-key", path("key.pem.pub")}); }

  oms_test::KeyPair key_{"P-384"};
};

TEST_F(ModelSignatureTest, SignsInTheFolderAndVerifies) {
  ASSERT_EQ(sign(), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("signed 2 files of model by key "));
  EXPECT_TRUE(std::filesystem::exists(path("model/model.sig")));
  ASSERT_EQ(verify(), kExitDone) << out() << err();
  EXPECT_THAT(out(), HasSubstr("verified, 2 files, 12 B"));
  EXPECT_THAT(out(), HasSubstr("signed by ecdsa-p384 key " + key_.verify().hint()));
  // Signing again leaves the first signature out.
  ASSERT_EQ(sign(), kExitDone);
  EXPECT_EQ(verify(), kExitDone);
}

TEST_F(ModelSignatureTest, AChangeIsANoWithTheFilesName) {
  ASSERT_EQ(sign(), kExitDone);
  write("model/config.json", "{ }");
  EXPECT_EQ(verify(), kExitNo);
  EXPECT_THAT(out(), HasSubstr("refused: digest_mismatch: config.json is not what was signed"));
  EXPECT_EQ(verify({"--public-key", path("key.pem.pub"), "--json"}), kExitNo);
  const auto json = Json::parse(out());
  ASSERT_TRUE(json) << out();
  EXPECT_FALSE(json->get_bool("verified").value_or(true));
  EXPECT_EQ(json->find("error")->get_string("code").value_or(""), "digest_mismatch");
}

TEST_F(ModelSignatureTest, FilesInExcessAreRefusedOrReported) {
  ASSERT_EQ(sign({"--ignore", "sub"}), kExitDone);
  write("model/extra", "x");
  EXPECT_EQ(verify(), kExitNo);
  EXPECT_THAT(out(), HasSubstr("extra is in the model and not signed"));
  ASSERT_EQ(verify({"--public-key", path("key.pem.pub"), "--ignore-unsigned-files", "--json"}),
            kExitDone);
  const auto json = Json::parse(out());
  ASSERT_TRUE(json);
  EXPECT_EQ(json->find("unsigned")->dump(), R"(["extra"])");
  EXPECT_EQ(json->find("ignored")->dump(), R"(["model.sig","sub"])");
  EXPECT_EQ(json->find("signer")->get_string("method").value_or(""), "key");
}

TEST_F(ModelSignatureTest, ShardsAndOtherHashes) {
  ASSERT_EQ(sign({"--shards", "--shard-size", "4", "--hash", "blake2b"}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("signed 4 shards of model"));
  EXPECT_EQ(verify(), kExitDone) << out();
}

TEST_F(ModelSignatureTest, CertificatesNeedAnAnchor) {
  const oms_test::KeyPair root_key{"P-256"};
  oms_test::CertificateSpec authority;
  authority.name = "root";
  authority.ca = true;
  authority.key_usage = "critical,keyCertSign";
  authority.extended_key_usage = "";
  const auto root = oms_test::issue(authority, root_key, root_key);
  oms_test::CertificateSpec maker;
  maker.name = "maker";
  const auto leaf = oms_test::issue(maker, key_, root_key, &root);
  write("root.pem", root.pem());
  write("leaf.pem", leaf.pem());
  ASSERT_EQ(sign({"--certificate", path("leaf.pem")}), kExitDone) << err();
  ASSERT_EQ(verify({"--anchors", path("root.pem")}), kExitDone) << out() << err();
  EXPECT_THAT(out(), HasSubstr("signed by CN=maker, anchored at CN=root"));
  // A key is no answer to a chain, and a certificate file that is none is the caller's mistake.
  EXPECT_EQ(verify(), kExitNo);
  EXPECT_EQ(verify({"--anchors", path("model/config.json")}), kExitFailed);
  clock_.advance(std::chrono::hours{24 * 30});
  EXPECT_EQ(verify({"--anchors", path("root.pem")}), kExitNo);
  EXPECT_THAT(out(), HasSubstr("'CN=maker' has expired"));
}

TEST_F(ModelSignatureTest, WrongArgumentsAreExplained) {
  EXPECT_EQ(verify({}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("either --public-key FILE or --anchors FILE"));
  EXPECT_EQ(verify(), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("model.sig"));
  EXPECT_EQ(sign({"--ignore", "../other"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("--ignore ../other is not inside"));
  EXPECT_EQ(sign({"--chain", path("key.pem")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("--chain goes with --certificate"));
  std::filesystem::permissions(path("key.pem"), std::filesystem::perms{0644});
  EXPECT_EQ(sign(), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("may be read by others"));
}

TEST_F(ModelSignatureTest, OneFileIsSignedBesideIt) {
  ASSERT_EQ(run({"model", "sign", path("model/sub/weights.bin"), "--key", path("key.pem")}),
            kExitDone)
      << err();
  EXPECT_TRUE(std::filesystem::exists(path("model/sub/weights.bin.sig")));
  EXPECT_EQ(
      run({"model", "verify", path("model/sub/weights.bin"), "--public-key", path("key.pem.pub")}),
      kExitDone)
      << out();
}

}  // namespace
}  // namespace skerry::cli::test
