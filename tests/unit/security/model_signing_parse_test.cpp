// Hostile bundles and statements: what is refused, and that the message says where.

#include <functional>

#include <gmock/gmock.h>

#include "skerry/common/json.hpp"
#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/statement.hpp"

#include "model_signing_fixture.hpp"

namespace skerry::security::model_signing::test {
namespace {

using ::testing::HasSubstr;

using Edit = std::function<void(Json::Object&)>;

Json::Object& object_at(Json::Object& object, const std::string& key) {
  return *object[key].object();
}

std::string good_statement(Method method = Method::kFiles) {
  Statement statement;
  statement.model_name = "m";
  statement.serialization.method = method;
  statement.serialization.shard_size = method == Method::kShards ? 8 : 0;
  for (const char* path : {"a", "b/c"}) {
    Resource resource;
    resource.path = path;
    resource.end = method == Method::kShards ? 8 : 0;
    resource.digest.assign(32, 7);
    statement.resources.push_back(resource);
  }
  auto text = write_statement(statement);
  EXPECT_TRUE(text);
  return *text;
}

std::string edited(const std::string& text, const Edit& edit) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json);
  edit(*json->object());
  return json->dump();
}

std::string refusal_of(const std::string& statement) {
  const auto parsed = parse_statement(statement);
  return parsed ? "accepted" : parsed.error().message();
}

std::string refusal_after(const Edit& edit, Method method = Method::kFiles) {
  return refusal_of(edited(good_statement(method), edit));
}

// Changes the first resource; the root digest stays right as long as the digest does.
std::string refusal_of_name(const std::string& name, Method method = Method::kFiles) {
  return refusal_after(
      [&name](Json::Object& statement) {
        auto& list = *object_at(statement, "predicate")["resources"].array();
        (*list.front().object())["name"] = name;
      },
      method);
}

TEST(ModelStatement, WhatIsWrittenIsRead) {
  EXPECT_EQ(refusal_after([](Json::Object&) {}), "accepted");
  EXPECT_EQ(refusal_after([](Json::Object&) {}, Method::kShards), "accepted");
  // Fields of others are none of our business (OMS 5.2.1).
  EXPECT_EQ(refusal_after([](Json::Object& s) { s["annotations"] = Json::Object{}; }), "accepted");
}

TEST(ModelStatement, TypesMustBeExact) {
  EXPECT_THAT(
      refusal_after([](Json::Object& s) { s["_type"] = "https://in-toto.io/Statement/v0.1"; }),
      HasSubstr("_type"));
  EXPECT_THAT(refusal_after([](Json::Object& s) { s["predicateType"] = "https://example.com"; }),
              HasSubstr("predicateType"));
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                s["predicateType"] = "https://model_signing/Digests/v0.1";
              }),
              HasSubstr("deprecated form"));
}

TEST(ModelStatement, OneSubjectWithTheRootDigest) {
  EXPECT_THAT(refusal_after([](Json::Object& s) { s["subject"] = Json::Array{}; }),
              HasSubstr("subject"));
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                auto& list = *s["subject"].array();
                list.push_back(list.front());
              }),
              HasSubstr("exactly one"));
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                auto& subject = *s["subject"].array()->front().object();
                object_at(subject, "digest")["sha256"] = std::string(64, '0');
              }),
              HasSubstr("not the digest of the listed resources"));
}

TEST(ModelStatement, ResourcesMustBeThere) {
  EXPECT_THAT(refusal_after(
                  [](Json::Object& s) { object_at(s, "predicate")["resources"] = Json::Array{}; }),
              HasSubstr("predicate.resources is empty"));
  EXPECT_THAT(refusal_after([](Json::Object& s) { object_at(s, "predicate").erase("resources"); }),
              HasSubstr("resources"));
  EXPECT_THAT(
      refusal_after([](Json::Object& s) { object_at(s, "predicate").erase("serialization"); }),
      HasSubstr("serialization"));
}

TEST(ModelStatement, NamesStayInsideTheModel) {
  for (const char* name :
       {"../a", "/etc/passwd", "a/../../b", "a//b", "./a", "a/", "", "..", "a/."}) {
    EXPECT_THAT(refusal_of_name(name), HasSubstr("no canonical path")) << name;
  }
  EXPECT_THAT(refusal_of_name(std::string("a\0b", 3)), HasSubstr("zero byte"));
  EXPECT_THAT(refusal_of_name(std::string(5000, 'a')), HasSubstr("4096"));
  std::string deep = "a";
  for (int i = 0; i < 70; ++i) {
    deep += "/a";
  }
  EXPECT_THAT(refusal_of_name(deep), HasSubstr("64 levels"));
  EXPECT_THAT(refusal_of_name("b/c"), HasSubstr("listed twice"));
}

TEST(ModelStatement, ShardNamesAreRangesOfTheShardSize) {
  for (const char* name : {"a",
                           "a:0",
                           "a:x:8",
                           "a:8:0",
                           "a:0:9",
                           "a:4:8",
                           "a:0:",
                           "a:00:8",
                           "a:-1:8",
                           "a:0:18446744073709551616"}) {
    EXPECT_NE(refusal_of_name(name, Method::kShards), "accepted") << name;
  }
  EXPECT_EQ(refusal_of_name("x:y:8:16", Method::kShards), "accepted");
  EXPECT_EQ(refusal_of_name("empty:0:0", Method::kShards), "accepted");
  for (const Json& size : {Json{0}, Json{-8}, Json{8.5}, Json{1e300}, Json{"8"}}) {
    EXPECT_NE(refusal_after(
                  [&size](Json::Object& s) {
                    object_at(object_at(s, "predicate"), "serialization")["shard_size"] = size;
                  },
                  Method::kShards),
              "accepted")
        << size.dump();
  }
}

TEST(ModelStatement, OneHashTypeThroughout) {
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                object_at(object_at(s, "predicate"), "serialization")["hash_type"] = "md5";
              }),
              HasSubstr("'md5' is not supported"));
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                auto& list = *object_at(s, "predicate")["resources"].array();
                (*list.front().object())["algorithm"] = "blake2b";
              }),
              HasSubstr("differs from the serialization's hash type"));
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                auto& list = *object_at(s, "predicate")["resources"].array();
                (*list.front().object())["digest"] = "00";
              }),
              HasSubstr("64 hexadecimal"));
  EXPECT_THAT(refusal_after([](Json::Object& s) {
                object_at(object_at(s, "predicate"), "serialization")["method"] = "tensors";
              }),
              HasSubstr("'tensors' is not supported"));
}

// The reference's own statements, which it does not sign: made before 1.1.0 with shards of 8 bytes.
TEST(ModelStatement, ShardsOfTheReference) {
  const auto statement = parse_statement(R"({"_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "file_model", "digest":
      {"sha256": "57d54248751a51781ac2bed647670df0c45d3926e337021585c34a82384b6573"}}],
    "predicateType": "https://model_signing/signature/v1.0",
    "predicate": {"serialization": {"method": "shards", "hash_type": "sha256-sharded-8",
        "allow_symlinks": true, "shard_size": 8.0},
      "resources": [
        {"algorithm": "sha256-sharded-8", "name": ".:0:8",
         "digest": "a37010c994067764d86540bf479d93b4d0c3bb3955de7b61f951caf2fd0301b0"},
        {"algorithm": "sha256-sharded-8", "name": ".:8:16",
         "digest": "bd762002a3528a27fb9a8822f822b949d3c9ab7e860af33039c9aa70ebbbe682"},
        {"algorithm": "sha256-sharded-8", "name": ".:16:22",
         "digest": "a791e1e893ea4260c77475725101fb4cc6ad85f6340f21f10b239184e318cd21"}]}})");
  ASSERT_TRUE(statement) << statement.error().to_string();
  EXPECT_EQ(statement->serialization.shard_size, 8U);
  EXPECT_EQ(statement->resources.size(), 3U);
  EXPECT_EQ(statement->resources.back().end, 22U);
}

Bundle good_bundle() {
  Bundle bundle;
  bundle.key_hint = "aa";
  bundle.payload = "{}";
  bundle.signature = {1, 2, 3};
  return bundle;
}

std::string bundle_refusal(const Edit& edit) {
  const auto parsed = parse_bundle(edited(write_bundle(good_bundle()), edit));
  return parsed ? "accepted" : parsed.error().message();
}

TEST(ModelBundle, WhatIsWrittenIsRead) {
  const auto bundle = parse_bundle(write_bundle(good_bundle()));
  ASSERT_TRUE(bundle);
  EXPECT_EQ(bundle->payload, "{}");
  EXPECT_EQ(bundle->key_hint, "aa");
  EXPECT_EQ(bundle->signature, (Bytes{1, 2, 3}));
}

TEST(ModelBundle, KeyIdMayBeAbsentEmptyOrNull) {
  for (const Json& id : {Json{""}, Json{nullptr}, Json{"x"}}) {
    EXPECT_EQ(bundle_refusal([&id](Json::Object& b) {
                (*object_at(b, "dsseEnvelope")["signatures"].array()->front().object())["keyid"] =
                    id;
              }),
              "accepted");
  }
}

TEST(ModelBundle, FormIsExact) {
  EXPECT_THAT(bundle_refusal([](Json::Object& b) { b["mediaType"] = "application/json"; }),
              HasSubstr("mediaType"));
  EXPECT_THAT(bundle_refusal([](Json::Object& b) {
                object_at(b, "dsseEnvelope")["payloadType"] = "application/octet-stream";
              }),
              HasSubstr("payloadType"));
  EXPECT_THAT(bundle_refusal([](Json::Object& b) {
                object_at(b, "dsseEnvelope")["signatures"] = Json::Array{};
              }),
              HasSubstr("there are 0 signatures"));
  EXPECT_THAT(bundle_refusal([](Json::Object& b) {
                auto& list = *object_at(b, "dsseEnvelope")["signatures"].array();
                list.push_back(list.front());
              }),
              HasSubstr("there are 2 signatures"));
  EXPECT_THAT(bundle_refusal([](Json::Object& b) { b["verificationMaterial"] = Json::Object{}; }),
              HasSubstr("exactly one of publicKey"));
  EXPECT_THAT(bundle_refusal([](Json::Object& b) {
                object_at(b, "verificationMaterial")["certificate"] = Json::Object{};
              }),
              HasSubstr("there are 2"));
  EXPECT_THAT(bundle_refusal(
                  [](Json::Object& b) { object_at(b, "dsseEnvelope")["payload"] = "not base64!"; }),
              HasSubstr("payload"));
  EXPECT_THAT(parse_bundle("").error().message(), HasSubstr("signature bundle"));
  EXPECT_FALSE(parse_bundle(write_bundle(good_bundle()) + "x"));
  EXPECT_FALSE(parse_bundle(std::string(kMaxBundleBytes + 1, ' ')));
}

TEST(ModelBundle, MlDsaIsRefusedByName) {
  EXPECT_THAT(bundle_refusal([](Json::Object& b) {
                object_at(object_at(b, "verificationMaterial"), "publicKey")["hint"] =
                    "ML_DSA_65:9a2233225f79a79a";
              }),
              HasSubstr("by ML-DSA, which is not supported"));
}

TEST(ModelBundle, CertificatesAreLimited) {
  Bundle bundle = good_bundle();
  bundle.material = Bundle::Material::kCertificateChain;
  EXPECT_FALSE(parse_bundle(write_bundle(bundle)));
  bundle.certificates.assign(16, Bytes{1});
  EXPECT_TRUE(parse_bundle(write_bundle(bundle)));
  bundle.certificates.assign(17, Bytes{1});
  EXPECT_EQ(parse_bundle(write_bundle(bundle)).error().code(), Error::Code::kTooLarge);
  bundle.certificates.assign(1, Bytes(kMaxCertificateBytes + 1));
  EXPECT_EQ(parse_bundle(write_bundle(bundle)).error().code(), Error::Code::kTooLarge);
}

TEST(ModelBundle, PreAuthenticationEncoding) {
  EXPECT_EQ(pre_authentication_encoding("{}"), "DSSEv1 28 application/vnd.in-toto+json 2 {}");
  EXPECT_EQ(legacy_pre_authentication_encoding("a\n'\x7f"),
            "DSSEV1 28 application/vnd.in-toto+json 4 b\"a\\n'\\x7f\"");
}

}  // namespace
}  // namespace skerry::security::model_signing::test
