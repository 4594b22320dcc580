// `skerry model import` against a real skerryd and the llama.cpp plugin: an imported model does not
// run before somebody vouches, and not anew once nobody does.
#include <array>
#include <cstdio>

#include <gmock/gmock.h>

#include "skerry/admin/v1/imports.grpc.pb.h"
#include "skerry/common/json.hpp"
#include "skerry/security/revocations.hpp"
#include "skerry/security/signed_document.hpp"

#include "daemon_harness.hpp"
#include "model_signing_fixture.hpp"

namespace skerry {
namespace {

using security::model_signing::test::KeyPair;
using test::DaemonHarness;
using ::testing::HasSubstr;
using ::testing::Not;

struct Ran {
  int code = -1;
  std::string out;
};

class ImportDaemon : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(SKERRY_LLAMA_PLUGIN)) {
      GTEST_SKIP() << SKERRY_LLAMA_PLUGIN << " is not built";
    }
    std::filesystem::copy_file(SKERRY_LOG_TRIAGE, daemon_.dir() / "triage-f16.gguf");
  }

  // Standard output and error together.
  [[nodiscard]] Ran skerry(const std::string& arguments) const {
    const std::string command = std::string{SKERRY_CLI} + " --admin-socket " +
                                daemon_.socket("admin") + " --api-socket " + daemon_.socket("api") +
                                " " + arguments + " 2>&1";
    Ran ran;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) {
      return ran;
    }
    std::array<char, 4096> buffer{};
    while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
      ran.out.append(buffer.data(), n);
    }
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
  }

  [[nodiscard]] Json import(const std::string& what) const {
    const Ran ran = skerry("--json model import " + what);
    EXPECT_EQ(ran.code, 0) << ran.out << daemon_.log();
    auto json = Json::parse(ran.out);
    EXPECT_TRUE(json) << ran.out;
    return json ? *json : Json{};
  }

  // With the plain configuration; until it answers, since the log has the first start too.
  void restart() {
    daemon_.process().stop(SIGTERM);
    daemon_.start();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (skerry("status").code != 0) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << daemon_.log();
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
  }

  [[nodiscard]] std::string file() const { return (daemon_.dir() / "triage-f16.gguf").string(); }

  void write(const std::string& path, std::string_view content) const {
    std::filesystem::create_directories((daemon_.dir() / path).parent_path());
    std::ofstream{daemon_.dir() / path, std::ios::binary} << content;
  }

  DaemonHarness daemon_;
};

TEST_F(ImportDaemon, AnImportRunsOnlyWhileSomebodyVouches) {
  daemon_.start();
  const Json dry = import(file() + " --name triage:1.0.0 --dry-run");
  EXPECT_EQ(*dry.get_int("copied_blobs"), 1);
  EXPECT_THAT(skerry("model list").out, Not(HasSubstr("local/triage")));

  const Json imported = import(file() + " --name triage:1.0.0");
  EXPECT_EQ(*imported.get_string("state"), "unsigned");
  EXPECT_EQ(*imported.get_string("manifest_digest"), *dry.get_string("manifest_digest"));
  // Stored once by content: the same again copies nothing.
  EXPECT_EQ(*import(file() + " --name triage:1.0.0").get_int("copied_blobs"), 0);
  EXPECT_EQ(*import(file() + " --name other").get_int("copied_blobs"), 0);
  EXPECT_THAT(skerry("model list").out, HasSubstr("unsigned"));

  const Ran refused = skerry("model activate local/triage:1.0.0 --slot lab");
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.out, HasSubstr("nobody vouches"));
  EXPECT_THAT(skerry("run lab hello").out, HasSubstr("not_found"));
  // Whoever asks for it by name is told what is missing.
  const Ran asked = skerry("run local/triage hello");
  EXPECT_EQ(asked.code, 1);
  EXPECT_THAT(asked.out, HasSubstr("failed_precondition"));
  EXPECT_THAT(asked.out, HasSubstr("skerry model vouch local/triage:1.0.0"));
  EXPECT_THAT(skerry("model inspect triage").out, HasSubstr("unsigned"));

  const Ran vouched = skerry("model vouch local/triage:1.0.0 --reason 'read the card'");
  ASSERT_EQ(vouched.code, 0) << vouched.out;
  EXPECT_THAT(skerry("run local/triage hello").out, HasSubstr("no slot runs it"));
  const Ran active = skerry("model activate local/triage:1.0.0 --slot lab");
  ASSERT_EQ(active.code, 0) << active.out << daemon_.log();
  EXPECT_THAT(active.out, HasSubstr("PROBATION"));
  const std::string prompt =
      "run --raw --temperature 0 lab '[INST] apcupsd | WARNING | supply too low, brownout reset of "
      "the board [/INST]'";
  const Ran answer = skerry(prompt);
  ASSERT_EQ(answer.code, 0) << answer.out << daemon_.log();
  EXPECT_THAT(answer.out, HasSubstr("\"cause\":\"undervoltage\""));

  // Revoked: what runs goes on, nothing makes it live again; also after a restart.
  ASSERT_EQ(skerry("model revoke local/triage:1.0.0 --reason doubts").code, 0);
  EXPECT_EQ(skerry(prompt).code, 0);
  restart();
  EXPECT_THAT(skerry("model activate local/triage:1.0.0 --slot lab2").out,
              HasSubstr("nobody vouches"));
  EXPECT_EQ(skerry(prompt).code, 0) << daemon_.log();
  EXPECT_THAT(skerry("model list").out, HasSubstr("revoked by uid:"));

  const std::string audit = skerry("--json audit tail --last 100").out;
  for (const std::string action :
       {"model.import", "model.vouch", "model.revoke_vouch", "model.activate_import"}) {
    EXPECT_THAT(audit, HasSubstr(action));
  }
  EXPECT_EQ(skerry("audit verify").code, 0);
}

// A signed version that nothing runs any more stays while somebody pins it, and no longer.
TEST_F(ImportDaemon, APinKeepsASignedVersionFromCollection) {
  for (std::uint64_t generation = 1; generation <= 3; ++generation) {
    const std::array versions{"1.0.0", "1.1.0", "1.2.0"};
    daemon_.activate_echo(versions.at(generation - 1), generation);
  }
  const auto old = test::make_file(registry::FileRole::kWeights, "echo.bin", 1001, 1).digest();
  const auto path = daemon_.state() / "blobs" / "sha256" / old.hex().substr(0, 2) / old.hex();
  daemon_.start();
  const Ran pinned = skerry("model pin acme/echo:1.0.0 --reason 'the audit compares it'");
  ASSERT_EQ(pinned.code, 0) << pinned.out << daemon_.log();
  EXPECT_THAT(pinned.out, HasSubstr("acme/echo:1.0.0 is pinned: the audit compares it"));
  EXPECT_THAT(skerry("model inspect acme/echo:1.0.0").out, HasSubstr("pinned: the audit"));
  EXPECT_THAT(skerry("registry gc --dry-run").out,
              HasSubstr("pinned: the audit compares it (acme/echo 1.0.0 raw)"));
  EXPECT_EQ(skerry("registry gc").code, 0);
  EXPECT_TRUE(std::filesystem::exists(path));
  restart();
  EXPECT_EQ(skerry("registry gc").code, 0);
  EXPECT_TRUE(std::filesystem::exists(path)) << "a pin is kept over restarts";

  EXPECT_THAT(skerry("model pin acme/echo:1.0.0 --variant q4_0").out,
              HasSubstr("has no variant \"q4_0\", but raw"));
  EXPECT_THAT(skerry("model unpin acme/echo:1.0.0 --variant raw").out, HasSubstr("is not pinned"));
  EXPECT_THAT(skerry("model unpin acme/echo:1.0.0").out, HasSubstr("is not pinned"));
  EXPECT_EQ(skerry("model unpin acme/echo:1.0.0").code, 1) << "there is none any more";
  EXPECT_EQ(skerry("registry gc").code, 0);
  EXPECT_FALSE(std::filesystem::exists(path));

  (void)import(file() + " --name triage:1.0.0");
  EXPECT_THAT(skerry("model pin local/triage:1.0.0").out, HasSubstr("until `skerry model remove`"));
  const std::string audit = skerry("--json audit tail --last 100").out;
  EXPECT_THAT(audit, HasSubstr("model.pin"));
  EXPECT_THAT(audit, HasSubstr("model.unpin"));
}

TEST_F(ImportDaemon, VouchingIsAVerbOfItsOwn) {
  daemon_.start();
  (void)import(file() + " --name triage:1.0.0");
  write("policy.json",
        R"({"format": "skerry-policy/1", "version": 2,
  "roles": [{"name": "importer", "rules": [
    {"verbs": ["admin.registry.*", "admin.slots.*", "audit.*"]},
    {"verbs": ["admin.models.import"], "models": ["local/*"]}]}],
  "bindings": [{"name": "a", "role": "importer", "subjects": ["uid:)" +
            std::to_string(::getuid()) + R"("]}]})");
  ASSERT_EQ(skerry("policy set " + (daemon_.dir() / "policy.json").string()).code, 0);
  const Ran vouch = skerry("model vouch local/triage:1.0.0");
  EXPECT_EQ(vouch.code, 1);
  EXPECT_THAT(vouch.out, HasSubstr("permission_denied"));
  EXPECT_THAT(vouch.out, HasSubstr("admin.models.vouch local/triage"));
  // The right to import, for local/* alone, is enough to import.
  EXPECT_EQ(*import(file() + " --name another:1.0.0").get_string("state"), "unsigned");
  EXPECT_EQ(skerry("model remove another").code, 0);
  EXPECT_THAT(skerry("model activate local/triage:1.0.0 --slot lab").out,
              HasSubstr("nobody vouches"));
  EXPECT_THAT(skerry("--json audit tail --last 20").out, HasSubstr("model.vouch"));
}

TEST_F(ImportDaemon, ASignerOnTheListVouchesByTheSignatureThatCameWithTheModel) {
  const KeyPair listed{"P-256"};
  const KeyPair stranger{"P-256"};
  write("listed.pem", listed.public_pem());
  for (const auto& [name, key] : {std::pair{"good", &listed}, std::pair{"foreign", &stranger}}) {
    const std::string folder = name;
    std::filesystem::create_directories(daemon_.dir() / folder);
    std::filesystem::copy_file(SKERRY_LOG_TRIAGE, daemon_.dir() / (folder + "/triage-f16.gguf"));
    write(folder + "/README.md", std::string{"# "} + name);
    write(folder + ".key", key->private_pem());
    ::chmod((daemon_.dir() / (folder + ".key")).c_str(), 0600);
    const Ran signing = skerry("model sign " + (daemon_.dir() / folder).string() + " --key " +
                               (daemon_.dir() / (folder + ".key")).string());
    ASSERT_EQ(signing.code, 0) << signing.out;
  }
  std::filesystem::copy(
      daemon_.dir() / "good", daemon_.dir() / "changed", std::filesystem::copy_options::recursive);
  write("changed/README.md", "# another");
  std::filesystem::copy(
      daemon_.dir() / "good", daemon_.dir() / "more", std::filesystem::copy_options::recursive);
  write("more/extra.json", "{}");
  daemon_.start("[import]\nsigner_keys = [\"" + (daemon_.dir() / "listed.pem").string() + "\"]\n");

  const Json good = import((daemon_.dir() / "good").string() + " --name good:1.0.0");
  EXPECT_EQ(*good.get_string("state"), "vouched");
  EXPECT_THAT(*good.get_string("signature"), HasSubstr("verified, by key "));
  const Json foreign = import((daemon_.dir() / "foreign").string() + " --name foreign:1.0.0");
  EXPECT_EQ(*foreign.get_string("state"), "unsigned");
  EXPECT_THAT(*foreign.get_string("signature"), HasSubstr("by nobody"));
  // A closed world: neither another byte nor another file.
  for (const std::string bad : {"changed", "more"}) {
    const Ran ran = skerry("model import " + (daemon_.dir() / bad).string() + " --name " + bad);
    EXPECT_EQ(ran.code, 1) << bad;
    EXPECT_THAT(ran.out, HasSubstr("signature_invalid")) << bad;
  }
  // What somebody ended does not come back by importing it again.
  ASSERT_EQ(skerry("model revoke good").code, 0);
  const Json again = import((daemon_.dir() / "good").string() + " --name good:1.0.0");
  EXPECT_EQ(*again.get_string("state"), "revoked");
  EXPECT_THAT(*again.get_string("signature"), HasSubstr("ended that vouch here"));
  EXPECT_THAT(skerry("model activate good --slot lab").out, HasSubstr("is revoked"));
  ASSERT_EQ(skerry("model vouch good --bundle " + (daemon_.dir() / "good/model.sig").string()).code,
            0);
  EXPECT_EQ(skerry("model activate local/good:1.0.0 --slot lab").code, 0) << daemon_.log();
  EXPECT_THAT(skerry("model activate local/foreign:1.0.0 --slot lab2").out,
              HasSubstr("nobody vouches"));

  // A shorter list takes effect for new activations.
  restart();
  EXPECT_THAT(skerry("model activate local/good:1.0.0 --slot lab3").out,
              HasSubstr("no longer on the list"));
}

TEST_F(ImportDaemon, ASignatureMayComeLater) {
  const KeyPair listed{"P-256"};
  const KeyPair stranger{"P-384"};
  write("listed.pem", listed.public_pem());
  for (const auto& [name, key] :
       {std::pair{"listed.key", &listed}, std::pair{"other.key", &stranger}}) {
    write(name, key->private_pem());
    ::chmod((daemon_.dir() / name).c_str(), 0600);
  }
  daemon_.start("[import]\nsigner_keys = [\"" + (daemon_.dir() / "listed.pem").string() + "\"]\n");
  (void)import(file() + " --name triage:1.0.0");

  const Ran wrong = skerry("model vouch triage --key " + (daemon_.dir() / "other.key").string());
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.out, HasSubstr("permission_denied"));
  EXPECT_THAT(wrong.out, HasSubstr("list of signers"));
  // A listed signer's word about another file is no word about this one.
  write("other/triage-f16.gguf", "another model");
  ASSERT_EQ(skerry("model sign " + (daemon_.dir() / "other").string() + " --key " +
                   (daemon_.dir() / "listed.key").string())
                .code,
            0);
  const Ran elsewhere =
      skerry("model vouch triage --bundle " + (daemon_.dir() / "other/model.sig").string());
  EXPECT_EQ(elsewhere.code, 1);
  EXPECT_THAT(elsewhere.out, HasSubstr("signature_invalid"));
  EXPECT_THAT(skerry("model inspect triage").out, HasSubstr("unsigned"));

  const Ran right = skerry("model vouch triage --key " + (daemon_.dir() / "listed.key").string());
  ASSERT_EQ(right.code, 0) << right.out;
  EXPECT_THAT(right.out, HasSubstr("is vouched"));
  EXPECT_THAT(skerry("model inspect triage").out, HasSubstr("vouch: signer key "));
  EXPECT_EQ(skerry("model activate triage --slot lab").code, 0) << daemon_.log();
  // The refusals are on record.
  const std::string audit = skerry("--json audit tail --last 100").out;
  EXPECT_THAT(audit, HasSubstr("list of signers"));
}

// The fleet's security role names bytes: no local vouch lifts that.
TEST_F(ImportDaemon, ARevocationCountsWhoeverVouches) {
  SystemFileSystem fs;
  const auto weights = read_file(fs, SKERRY_LOG_TRIAGE, 16U << 20U);
  ASSERT_TRUE(weights);
  security::SignedDocumentStore::Options options;
  options.path = daemon_.state() / "revocations.signed.json";
  options.what = "revocations";
  options.limit = 1U << 20U;
  options.check = [](std::string_view text) -> Result<std::int64_t> {
    const auto parsed = security::Revocations::parse(text);
    return parsed ? Result<std::int64_t>{parsed->version()} : parsed.error();
  };
  security::SignedDocument document;
  document.target = "security/revocations";
  document.role = "security";
  document.role_version = 1;
  document.bytes =
      R"({"format":"skerry-revocations/1","version":1,"entries":[{"id":"bad-1","effect":"block-new","blob":")" +
      Digest::of(*weights).to_string() + R"(","reason":"poisoned"}]})";
  ASSERT_TRUE(fs.create_directories(daemon_.state(), 0750));
  ASSERT_TRUE(security::SignedDocumentStore::open(fs, options)->accept(document));
  daemon_.start();
  EXPECT_EQ(*import(file() + " --name triage:1.0.0").get_string("state"), "unsigned");
  ASSERT_EQ(skerry("model vouch triage").code, 0);
  const Ran active = skerry("model activate triage --slot lab");
  EXPECT_EQ(active.code, 3) << active.out;
  EXPECT_THAT(active.out, HasSubstr("poisoned"));
  EXPECT_EQ(skerry("run lab hello").code, 1);
}

TEST_F(ImportDaemon, WhatAFleetDirectsIsLeftAlone) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  (void)import(file() + " --name triage:1.0.0");
  ASSERT_EQ(skerry("model vouch local/triage:1.0.0").code, 0);
  const Ran directed = skerry("model activate local/triage:1.0.0 --slot default");
  EXPECT_EQ(directed.code, 1);
  EXPECT_THAT(directed.out, HasSubstr("acme/echo, which a fleet signed"));
  EXPECT_THAT(skerry("model activate acme/echo:1.0.0 --slot lab").out, HasSubstr("is signed"));
  EXPECT_THAT(skerry("model vouch acme/echo:1.0.0").out, HasSubstr("is signed by a fleet"));
  EXPECT_THAT(skerry("model import " + file() + " --name acme/x").out,
              HasSubstr("imported models are called local/<name>"));
}

// The daemon takes nobody's word: a client of its own that lies at every step.
TEST_F(ImportDaemon, TheDaemonChecksEverythingItself) {
  namespace pb = admin::v1;
  daemon_.start();
  const auto stub = pb::ImportService::NewStub(daemon_.channel("admin"));
  const auto plan = [&stub](const std::string& manifest) {
    grpc::ClientContext context;
    pb::PlanImportRequest request;
    request.set_manifest(manifest);
    pb::PlanImportResponse response;
    return stub->Plan(&context, request, &response);
  };
  const auto put = [&stub](const test::SampleFile& file, const std::vector<std::string>& chunks) {
    grpc::ClientContext context;
    context.AddMetadata("skerry-model", "local/liar");
    pb::PutBlobResponse response;
    const auto writer = stub->PutBlob(&context, &response);
    pb::PutBlobRequest request;
    request.mutable_header()->set_digest(file.digest().to_string());
    request.mutable_header()->set_size(file.entry.size);
    request.mutable_header()->set_chunk_size(file.entry.chunk_size);
    request.mutable_header()->set_chunk_index(std::string{as_text(file.index.serialise())});
    bool open = writer->Write(request);
    for (const std::string& chunk : chunks) {
      request.set_chunk(chunk);
      open = open && writer->Write(request);
    }
    writer->WritesDone();
    return writer->Finish();
  };
  const auto commit = [&stub](const std::string& manifest) {
    grpc::ClientContext context;
    pb::CommitImportRequest request;
    request.set_manifest(manifest);
    pb::CatalogueModel response;
    return stub->Commit(&context, request, &response);
  };
  test::SampleFile file = test::make_file(registry::FileRole::kWeights, "m.gguf", 3000, 7);
  const std::string bytes{as_text(file.bytes)};
  registry::Manifest manifest =
      test::make_manifest("1.0.0", 1, {test::make_variant("q8_0", {file})});
  EXPECT_EQ(plan("{").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(plan(*manifest.serialise()).error_message(), HasSubstr("local/<name>"));
  manifest.model = {"local", "liar"};
  registry::Manifest null = manifest;
  null.variants[0].format = "null";
  EXPECT_THAT(plan(*null.serialise()).error_message(), HasSubstr("only gguf and onnx"));
  registry::Manifest option = manifest;
  option.annotations.emplace("skerry.option.threads", "64");
  EXPECT_THAT(plan(*option.serialise()).error_message(), HasSubstr("no option of an engine"));
  const std::string honest = *manifest.serialise();
  EXPECT_TRUE(plan(honest).ok());

  EXPECT_THAT(commit(honest).error_message(), HasSubstr("failed_precondition"));
  EXPECT_THAT(put(file, {std::string(3000, 'x')}).error_message(), HasSubstr("digest"));
  EXPECT_THAT(put(file, {}).error_message(), HasSubstr("failed_precondition"));
  EXPECT_THAT(put(file, {bytes, bytes}).error_message(), HasSubstr("more chunks"));
  EXPECT_THAT(commit(honest).error_message(), HasSubstr("failed_precondition"));
  const grpc::Status sent = put(file, {bytes});
  ASSERT_TRUE(sent.ok()) << sent.error_message();
  // The bytes are what the manifest names, and no model.
  EXPECT_THAT(commit(honest).error_message(), HasSubstr("not a GGUF file"));
  EXPECT_THAT(skerry("--json model list").out, Not(HasSubstr("liar")));
}

// Out of the registry, through a tool of somebody else, and in again: the same bytes everywhere.
TEST_F(ImportDaemon, AnExportIsCopiedBySkopeoUnchanged) {
  if (std::system("command -v skopeo >/dev/null") != 0) {
    GTEST_SKIP() << "skopeo is not installed";
  }
  daemon_.start();
  const Json imported = import(file() + " --name triage:1.0.0");
  const std::string out = (daemon_.dir() / "layout").string();
  const Ran exported = skerry("model export local/triage:1.0.0 --to oci:" + out);
  ASSERT_EQ(exported.code, 0) << exported.out;
  const std::string digest = *imported.get_string("manifest_digest");
  EXPECT_THAT(exported.out, HasSubstr(digest));
  const std::string copy = (daemon_.dir() / "copy").string();
  const std::string folder = (daemon_.dir() / "folder").string();
  for (const std::string& target : {"oci:" + copy + ":1.0.0", "dir:" + folder}) {
    const std::string command =
        "skopeo copy --insecure-policy oci:" + out + ":1.0.0 " + target + " >/dev/null 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << target;
  }
  std::ifstream manifest{folder + "/manifest.json", std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{manifest}, {}};
  EXPECT_EQ(Digest::of(bytes).to_string(), digest);
  std::ifstream index{copy + "/index.json", std::ios::binary};
  const std::string listed{std::istreambuf_iterator<char>{index}, {}};
  EXPECT_THAT(listed, HasSubstr(digest));
  const Json again = import("oci:" + copy + ":1.0.0 --name again:1.0.0");
  EXPECT_EQ(*again.get_string("format"), "oci");
  EXPECT_EQ(*again.get_int("copied_blobs"), 0) << "the same content is stored once";
}

// What is not a model is refused before anything is recorded, by the daemon too.
TEST_F(ImportDaemon, NothingHostileIsRecorded) {
  daemon_.start();
  write("cut.gguf", "GGUF");
  EXPECT_THAT(skerry("model import " + (daemon_.dir() / "cut.gguf").string()).out,
              HasSubstr("model_format"));
  std::filesystem::create_directories(daemon_.dir() / "net");
  std::filesystem::create_symlink(file(), daemon_.dir() / "net/m.gguf");
  EXPECT_THAT(skerry("model import " + (daemon_.dir() / "net").string()).code, 1);
  EXPECT_THAT(skerry("--json model list").out, Not(HasSubstr("local/")));
}

}  // namespace
}  // namespace skerry
