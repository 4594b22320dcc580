#include "skerry/security/signer.hpp"

#include <gtest/gtest.h>

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

class SignerTest : public ::testing::Test {
 protected:
  [[nodiscard]] KeyUri uri(const std::string& name, const std::string& query = {}) const {
    return *KeyUri::parse("file:" + (dir_ / name).string() + query);
  }
  test::TempDir dir_;
  SystemFileSystem fs_;
};

TEST(KeyUri, ParsesAndPrintsTheKnownForms) {
  const auto file = KeyUri::parse("file:/etc/k.pem?passphrase-file=/run/p");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->scheme(), "file");
  EXPECT_EQ(file->path(), "/etc/k.pem");
  EXPECT_EQ(file->attribute("passphrase-file"), "/run/p");
  EXPECT_EQ(file->to_string(), "file:/etc/k.pem?passphrase-file=/run/p");
  EXPECT_EQ(KeyUri::parse("/etc/k.pem")->to_string(), "file:/etc/k.pem");
  EXPECT_EQ(KeyUri::parse("file:///etc/k.pem")->path(), "/etc/k.pem");
  EXPECT_EQ(KeyUri::parse("tpm:0x81000001")->scheme(), "tpm");
  EXPECT_EQ(KeyUri::parse("pkcs11:token=skerry;object=audit")->path(), "token=skerry;object=audit");
}

TEST(KeyUri, RefusesOtherForms) {
  for (const char* text : {"",
                           "key.pem",
                           "file:key.pem",
                           "file:",
                           "tpm:",
                           "file:/k?passphrase",
                           "file:/k?colour=red",
                           "file:/k?passphrase-file=/a&passphrase-file=/b",
                           "Fi le:/k"}) {
    const auto uri = KeyUri::parse(text);
    ASSERT_FALSE(uri) << text;
    EXPECT_EQ(uri.error().code(), Error::Code::kInvalidArgument) << text;
  }
}

TEST_F(SignerTest, CreatesAKeyThatCanBeOpenedAgain) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::kEd25519, KeyAlgorithm::kEcdsaP256}) {
    const KeyUri key_uri = uri(std::string{to_string(algorithm)} + ".pem");
    const auto created = create_key(fs_, key_uri, algorithm);
    ASSERT_TRUE(created) << created.error().to_string();
    const auto opened = make_signer(fs_, key_uri);
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_EQ((*opened)->public_key(), (*created)->public_key());
    const auto signature = (*opened)->sign(as_bytes("x"));
    EXPECT_TRUE((*created)->public_key().verify(as_bytes("x"), *signature));
    EXPECT_EQ(fs_.status(key_uri.path())->mode & 0777U, 0600U);
  }
}

TEST_F(SignerTest, NeverOverwritesAKey) {
  ASSERT_TRUE(create_key(fs_, uri("k"), KeyAlgorithm::kEd25519));
  const auto again = create_key(fs_, uri("k"), KeyAlgorithm::kEd25519);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Error::Code::kAlreadyExists);
}

TEST_F(SignerTest, RefusesAKeyThatOthersMayRead) {
  ASSERT_TRUE(create_key(fs_, uri("k"), KeyAlgorithm::kEd25519));
  std::filesystem::permissions(dir_ / "k", std::filesystem::perms{0640});
  const auto opened = make_signer(fs_, uri("k"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Error::Code::kPermissionDenied);
}

TEST_F(SignerTest, KeepsAKeyUnderAPassphrase) {
  ASSERT_TRUE(write_file_atomic(fs_, dir_ / "pass", "correct horse\n", 0600));
  ASSERT_TRUE(write_file_atomic(fs_, dir_ / "wrong", "battery\n", 0600));
  const KeyUri good = uri("k", "?passphrase-file=" + (dir_ / "pass").string());
  const auto created = create_key(fs_, good, KeyAlgorithm::kEd25519);
  ASSERT_TRUE(created) << created.error().to_string();
  const auto text = read_file(fs_, dir_ / "k", 4096);
  EXPECT_NE(text->find("ENCRYPTED PRIVATE KEY"), std::string::npos);
  EXPECT_TRUE(make_signer(fs_, good));
  EXPECT_EQ(make_signer(fs_, uri("k")).error().code(), Error::Code::kKeyInvalid);
  const KeyUri bad = uri("k", "?passphrase-file=" + (dir_ / "wrong").string());
  EXPECT_EQ(make_signer(fs_, bad).error().code(), Error::Code::kKeyInvalid);
  EXPECT_NE(private_key_pem(fs_, good)->find("BEGIN PRIVATE KEY"), std::string::npos);
}

TEST_F(SignerTest, OpensOrCreates) {
  const auto first = open_or_create_key(fs_, uri("k"), KeyAlgorithm::kEd25519);
  const auto second = open_or_create_key(fs_, uri("k"), KeyAlgorithm::kEd25519);
  ASSERT_TRUE(first && second);
  EXPECT_EQ((*first)->public_key(), (*second)->public_key());
}

TEST_F(SignerTest, RefusesSchemesAndUrisThatItDoesNotKnow) {
  const std::string module = "?module-path=/nowhere/module.so";
  const std::vector<std::tuple<std::string, Error::Code, std::string>> rows{
      {"cloudkms:x", Error::Code::kUnimplemented, "use file:, tpm: or pkcs11:"},
      {"pkcs11:object=audit", Error::Code::kInvalidArgument, "module-path=/path"},
      {"pkcs11:object=audit?module-path=relative.so", Error::Code::kInvalidArgument, "module-path"},
      {"pkcs11:colour=red" + module, Error::Code::kInvalidArgument, "RFC 7512"},
      {"pkcs11:object=a" + module + "&slot=1", Error::Code::kInvalidArgument, "module-path=/path"},
      {"pkcs11:object=a" + module + "&pin-source=/nowhere/pin", Error::Code::kNotFound, "nowhere"},
      {"pkcs11:token=t;object=a" + module, Error::Code::kUnavailable, "/nowhere/module.so"},
      {"tpm:/nowhere/key.tss", Error::Code::kNotFound, "no such file"},
      {"tpm:/nowhere/key.tss?pin=1", Error::Code::kInvalidArgument, "passphrase-file"}};
  for (const auto& [text, code, part] : rows) {
    const auto opened = make_signer(fs_, *KeyUri::parse(text));
    ASSERT_FALSE(opened) << text;
    EXPECT_EQ(opened.error().code(), code) << text << ": " << opened.error().message();
    EXPECT_NE(opened.error().message().find(part), std::string::npos) << opened.error().message();
  }
  EXPECT_EQ(
      create_key(fs_, *KeyUri::parse("tpm:0x81000001"), KeyAlgorithm::kEcdsaP256).error().code(),
      Error::Code::kInvalidArgument);
  EXPECT_EQ(create_key(fs_, *KeyUri::parse("tpm:/k.tss"), KeyAlgorithm::kEd25519).error().code(),
            Error::Code::kInvalidArgument);
  const auto with_pin = KeyUri::parse("pkcs11:object=a" + module + "&pin-value=1234");
  ASSERT_FALSE(with_pin);
  EXPECT_NE(with_pin.error().message().find("pin-source"), std::string::npos);
  EXPECT_EQ(with_pin.error().message().find("1234"), std::string::npos) << "a PIN in a message";
  EXPECT_EQ(list_token_keys(fs_, *KeyUri::parse("tpm:/k.tss")).error().code(),
            Error::Code::kInvalidArgument);
}

TEST_F(SignerTest, AFactoryTakesOtherSchemes) {
  SignerFactory factory;
  factory.register_scheme(
      "tpm",
      [](FileSystem&, const KeyUri&) { return make_memory_signer(KeyAlgorithm::kEcdsaP256); },
      [](FileSystem&, const KeyUri&, KeyAlgorithm algorithm) {
        return make_memory_signer(algorithm);
      });
  EXPECT_TRUE(factory.open(fs_, *KeyUri::parse("tpm:1")));
}

TEST_F(SignerTest, RefusesKeysThatAreOnlyVerifiedWith) {
  EXPECT_EQ(create_key(fs_, uri("k"), KeyAlgorithm::kRsaPss).error().code(),
            Error::Code::kInvalidArgument);
}

TEST(SignerFaults, ACrashLeavesNoKeyOrAWholeOne) {
  for (std::uint64_t k = 0;; ++k) {
    test::TempDir dir;
    test::FaultFileSystem fs{dir.path()};
    const KeyUri key_uri = *KeyUri::parse((dir / "k").string());
    fs.fail_at(k, test::Fault::kPowerCut);
    const bool created = create_key(fs, key_uri, KeyAlgorithm::kEd25519).has_value();
    const bool fired = fs.fired();
    fs.restart(test::Loss::kUnsynced);
    const auto opened = make_signer(fs, key_uri);
    EXPECT_TRUE(opened || !created) << "operation " << k;
    EXPECT_TRUE(opened || opened.error().code() == Error::Code::kNotFound)
        << "operation " << k << ": " << opened.error().to_string();
    EXPECT_TRUE(open_or_create_key(fs, key_uri, KeyAlgorithm::kEd25519)) << "operation " << k;
    if (!fired) {
      EXPECT_GT(k, 3U);
      break;
    }
  }
}

}  // namespace
}  // namespace skerry::security
