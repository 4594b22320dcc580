// Models of the runtime "openai" through the real daemon: front ends, status, metrics and audit are
// those of every model, and a server that is away is replaced in the signed order.
#include <chrono>
#include <thread>

#include <gmock/gmock.h>

#include "skerry/admin/v1/admin.grpc.pb.h"

#include "daemon_harness.hpp"
#include "upstreams/fake_upstream.hpp"

namespace skerry {
namespace {

using test::FakeUpstream;
using ::testing::HasSubstr;
using ::testing::Not;

// The reason of a record, as it stands in a dump of messages.
constexpr const char* kUnavailable = R"(\"unavailable\")";

class UpstreamDaemon : public ::testing::Test {
 protected:
  // Makes acme/assistant, answered by the tiers of `order`, active in slot "default".
  void activate(const std::string& order) {
    SystemFileSystem fs;
    SystemClock clock;
    ASSERT_TRUE(fs.create_directories(daemon_.state(), 0750));
    auto catalogue = registry::Catalogue::open(daemon_.state() / "registry.db", clock);
    ASSERT_TRUE(catalogue) << catalogue.error().to_string();
    auto store = registry::BlobStore::open(fs, **catalogue, clock, daemon_.state());
    ASSERT_TRUE(store) << store.error().to_string();
    const std::string description =
        R"({"format": "skerry-upstream/1", "model": "m", "tasks": ["chat", "text", "embed"], "order": )" +
        order + "}";
    auto put = (*store)->put(as_bytes(description));
    ASSERT_TRUE(put) << put.error().to_string();
    registry::ManifestFile file;
    file.role = registry::FileRole::kWeights;
    file.name = "upstream.json";
    file.digest = *put;
    file.size = description.size();
    file.chunk_size = registry::kMinChunkSize;
    file.chunks = test::index_of(as_bytes(description), file.chunk_size).digest();
    registry::Variant variant;
    variant.name = "upstream";
    variant.format = "openai";
    variant.needs.runtime = "openai";
    variant.needs.ram_bytes = 1U << 20U;
    variant.files = {file};
    registry::Manifest manifest = test::make_manifest("1.0.0", 1, {variant});
    manifest.model = {"acme", "assistant"};
    auto bytes = manifest.serialise();
    ASSERT_TRUE(bytes) << bytes.error().to_string();
    const Digest digest = Digest::of(*bytes);
    ASSERT_TRUE((*store)->put(as_bytes(*bytes)));
    auto recorded = (*catalogue)->record_manifest(*bytes, digest, "image", 1);
    ASSERT_TRUE(recorded) << recorded.error().to_string();
    registry::ActivationRequest request;
    request.slot = SlotName{"default"};
    request.generation = 1;
    request.manifest = digest;
    request.variant = "upstream";
    request.probation = false;
    auto active = (*catalogue)->activate(request);
    ASSERT_TRUE(active) << active.error().to_string();
  }

  static std::string endpoint(const FakeUpstream& server, const std::string& kind) {
    return "\n[[upstream.endpoint]]\nname = \"" + server.name() + "\"\nserver = \"" + kind +
           "\"\ntier = \"local\"\nurl = \"" + server.url() + "\"\n";
  }
  std::string chat(const std::string& text, const std::string& extra = "") {
    return test::http(daemon_.socket("http"),
                      test::post("/v1/chat/completions",
                                 R"({"model":"default","messages":[{"role":"user","content":")" +
                                     text + "\"}]" + extra + "}"));
  }
  admin::v1::GetStatusResponse status() {
    auto stub = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
    grpc::ClientContext context;
    admin::v1::GetStatusResponse response;
    const grpc::Status got = stub->GetStatus(&context, admin::v1::GetStatusRequest{}, &response);
    EXPECT_TRUE(got.ok()) << got.error_message();
    return response;
  }
  std::string audit(const std::string& wanted) {
    auto stub = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
    std::string all;
    for (int attempt = 0; attempt < 100 && all.find(wanted) == std::string::npos; ++attempt) {
      all.clear();
      grpc::ClientContext context;
      admin::v1::TailAuditRequest request;
      request.set_last(50);
      auto reader = stub->TailAudit(&context, request);
      admin::v1::AuditRecord record;
      while (reader->Read(&record)) {
        all += record.ShortDebugString();
      }
      reader->Finish();
      // Inferences are written in groups.
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
    return all;
  }

  test::DaemonHarness daemon_;
};

TEST_F(UpstreamDaemon, AnswersLikeEveryModel) {
  const FakeUpstream gpu{daemon_.dir().path(), "gpu", "vllm"};
  activate(R"(["local"])");
  daemon_.start(endpoint(gpu, "vllm"));
  const std::string whole = chat("ping");
  EXPECT_THAT(whole, HasSubstr("200 OK"));
  EXPECT_THAT(whole, HasSubstr("echo: ping"));
  EXPECT_THAT(whole, HasSubstr("\"cached_tokens\":4"));
  const std::string streamed =
      chat("ping", R"(,"stream":true,"stream_options":{"include_usage":true})");
  EXPECT_THAT(streamed, HasSubstr("\"content\":\"echo:"));
  EXPECT_THAT(streamed, HasSubstr("\"finish_reason\":\"stop\""));
  EXPECT_THAT(streamed, HasSubstr("[DONE]"));
  EXPECT_THAT(
      test::http(daemon_.socket("http"),
                 test::post("/v1/embeddings",
                            R"({"model":"default","input":"x","encoding_format":"float"})")),
      HasSubstr("0.6"));
  EXPECT_THAT(chat("TOOLONG"), HasSubstr("400 Bad Request"));

  const admin::v1::GetStatusResponse now = status();
  ASSERT_EQ(now.upstreams().size(), 1);
  EXPECT_EQ(now.upstreams(0).name(), "gpu");
  EXPECT_EQ(now.upstreams(0).server(), "vllm");
  EXPECT_EQ(now.upstreams(0).state(), "up");
  EXPECT_EQ(now.upstreams(0).answered(), 4U);
  ASSERT_EQ(now.workers().size(), 1);
  EXPECT_EQ(now.workers(0).plugin(), "openai");
  EXPECT_EQ(daemon_.metric("skerry_upstream_up", "endpoint=\"gpu\""), 1);
  EXPECT_EQ(daemon_.metric("vllm:request_success_total", "acme/assistant"), 3);
  EXPECT_EQ(daemon_.metric("vllm:generation_tokens_total", "acme/assistant"), 4);

  EXPECT_THAT(test::http(daemon_.socket("http"),
                         test::post("/v1/embeddings", R"({"model":"default","input":"FAIL500"})")),
              HasSubstr("503"));
  // Also of a request that failed it is known who was given it.
  const std::string failed = audit(kUnavailable);
  const std::size_t reason = failed.find(kUnavailable);
  ASSERT_NE(reason, std::string::npos);
  const std::size_t begin = failed.rfind("seq: ", reason);
  const std::size_t end = failed.find("seq: ", reason);
  ASSERT_NE(begin, std::string::npos);
  EXPECT_THAT(failed.substr(begin, end - begin), HasSubstr("gpu/local"));

  const std::string records = audit("gpu/local");
  EXPECT_THAT(records, HasSubstr("gpu/local"));
  EXPECT_THAT(records, Not(HasSubstr("ping")));
  EXPECT_THAT(daemon_.log(), Not(HasSubstr("ping")));
  EXPECT_THAT(daemon_.log(), Not(HasSubstr("FAIL500"))) << "the server quotes it";
}

TEST_F(UpstreamDaemon, ItsCallsAndThoughtsLookLikeThoseOfEveryModel) {
  const FakeUpstream gpu{daemon_.dir().path(), "gpu", "vllm"};
  activate(R"(["local"])");
  daemon_.start(endpoint(gpu, "vllm"));
  const std::string tools =
      R"(,"tools":[{"type":"function","function":{"name":"open","parameters":{"type":"object"}}}])";
  const std::string whole = chat("TOOL", tools);
  EXPECT_THAT(whole, HasSubstr("200 OK"));
  EXPECT_THAT(whole, HasSubstr(R"("reasoning_content":"hmm")"));
  EXPECT_THAT(whole, HasSubstr(R"("finish_reason":"tool_calls")"));
  EXPECT_THAT(whole, HasSubstr(R"("id":"chatcmpl-tool-1")"));
  EXPECT_THAT(whole, HasSubstr(R"("arguments":"{\"n\": 2}")"));
  const std::string streamed = chat("TOOL", tools + R"(,"stream":true)");
  EXPECT_THAT(streamed, HasSubstr(R"("finish_reason":"tool_calls")"));
  EXPECT_THAT(streamed, HasSubstr(R"("name":"open")"));
  const std::string claude = test::http(
      daemon_.socket("http"),
      test::post(
          "/v1/messages",
          R"({"model":"default","max_tokens":100,"messages":[{"role":"user","content":"TOOL"}],)"
          R"("tools":[{"name":"open","input_schema":{"type":"object"}}]})"));
  EXPECT_THAT(claude, HasSubstr(R"("type":"tool_use")"));
  EXPECT_THAT(claude, HasSubstr(R"("stop_reason":"tool_use")"));
  // What the server cannot promise is refused, with the reason.
  const std::string strict =
      R"(,"tools":[{"type":"function","function":{"name":"open","strict":true,"parameters":{"type":"object"}}}])";
  EXPECT_THAT(chat("TOOL", strict), HasSubstr("must not be strict"));
}

TEST_F(UpstreamDaemon, FallsBackAndSaysSoWhenNobodyIsLeft) {
  FakeUpstream first{daemon_.dir().path(), "first", "ollama"};
  FakeUpstream second{daemon_.dir().path(), "second", "mlx_lm"};
  activate(R"(["local"])");
  daemon_.start(endpoint(first, "ollama") + endpoint(second, "mlx_lm"));
  EXPECT_THAT(chat("ping"), HasSubstr("echo: ping"));
  first.kill();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(chat("ping"), HasSubstr("echo: ping"));
  }
  second.kill();
  EXPECT_THAT(chat("ping"), HasSubstr("503 Service Unavailable"));
  const admin::v1::GetStatusResponse now = status();
  for (const auto& server : now.upstreams()) {
    EXPECT_EQ(server.state(), "down") << server.name();
    EXPECT_THAT(server.problem(), HasSubstr("127.0.0.1")) << server.name();
  }
}

TEST_F(UpstreamDaemon, NeverAsksATierThatWasNotSigned) {
  const FakeUpstream here{daemon_.dir().path(), "here", "vllm"};
  activate(R"(["site", "cloud"])");
  daemon_.start(endpoint(here, "vllm"));
  EXPECT_THAT(chat("ping"), Not(HasSubstr("200 OK")));
  EXPECT_EQ(here.count("POST"), 0);
}

}  // namespace
}  // namespace skerry
