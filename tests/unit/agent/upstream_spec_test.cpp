// The signed description of an upstream model, URLs of servers, and the table of quirks.
#include "skerry/registry/upstream_spec.hpp"

#include <gmock/gmock.h>

#include "skerry/agent/upstream_http.hpp"
#include "skerry/agent/upstream_quirks.hpp"

namespace skerry::agent::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(UpstreamSpec, ReadsEveryMember) {
  const Result<Spec> spec = parse_spec(R"({"format": "skerry-upstream/1", "model": "qwen2.5-7b",
    "names": {"vllm": "Qwen/Qwen2.5-7B-Instruct", "ollama": "qwen2.5:7b"},
    "order": ["local", "site", "cloud"], "spill": true, "context_length": 32768,
    "tasks": ["chat", "text", "embed"]})");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_THAT(spec->order, ElementsAre(Tier::kLocal, Tier::kSite, Tier::kCloud));
  EXPECT_EQ(spec->name_at(ServerKind::kVllm), "Qwen/Qwen2.5-7B-Instruct");
  EXPECT_EQ(spec->name_at(ServerKind::kOllama), "qwen2.5:7b");
  EXPECT_EQ(spec->name_at(ServerKind::kMlxLm), "qwen2.5-7b");
  EXPECT_TRUE(spec->spill);
  EXPECT_TRUE(spec->text);
  EXPECT_TRUE(spec->embed);
  EXPECT_EQ(spec->context_length, 32768U);
}

TEST(UpstreamSpec, StaysOnTheMachineUnlessItSaysOtherwise) {
  const Result<Spec> spec =
      parse_spec(R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"]})");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_THAT(spec->order, ElementsAre(Tier::kLocal));
  EXPECT_FALSE(spec->spill);
  EXPECT_TRUE(spec->chat);
  EXPECT_FALSE(spec->text);
  EXPECT_FALSE(spec->embed);
}

struct Refusal {
  const char* members;
  const char* says;
};

class UpstreamSpecRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(UpstreamSpecRefusal, NamesTheMember) {
  const Result<Spec> spec = parse_spec(GetParam().members);
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code(), Error::Code::kModelFormat);
  EXPECT_THAT(spec.error().message(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    UpstreamSpecRefusal,
    ::testing::Values(
        Refusal{"[]", "must be an object"},
        Refusal{"{", "upstream description: "},
        Refusal{R"({"model": "m", "order": ["local"]})", "format: is missing"},
        Refusal{R"({"format": "skerry-upstream/2", "model": "m", "order": ["local"]})", "format: "},
        Refusal{R"({"format": "skerry-upstream/1", "order": ["local"]})", "model: is missing"},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m"})", "order: is missing"},
        Refusal{R"({"format": "skerry-upstream/1", "model": "", "order": ["local"]})", "model: "},
        Refusal{R"({"format": "skerry-upstream/1", "model": "a b", "order": ["local"]})",
                "model: must not contain"},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": []})", "order: "},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["moon"]})", "order: "},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["site", "site"]})",
                "twice"},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"], "url": "x"})",
                "url: is not known"},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"],
                    "names": {"vlm": "x"}})",
                "names.vlm: is no kind"},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"], "spill": 1})",
                "spill: "},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"],
                    "context_length": 0})",
                "context_length: "},
        Refusal{R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"],
                    "tasks": ["rerank"]})",
                "tasks: "}));

TEST(UpstreamSpec, RefusesADocumentThatIsTooLong) {
  const std::string padding(Spec::kBytes, ' ');
  EXPECT_FALSE(
      parse_spec(R"({"format": "skerry-upstream/1", "model": "m", "order": ["local"]})" + padding));
}

TEST(UpstreamQuirks, NamesAreReadAsTheyAreWritten) {
  for (const ServerKind kind : {ServerKind::kCompatible,
                                ServerKind::kOpenAi,
                                ServerKind::kVllm,
                                ServerKind::kMlxLm,
                                ServerKind::kOllama,
                                ServerKind::kFoundryLocal}) {
    EXPECT_EQ(parse_server_kind(to_string(kind)), kind);
  }
  for (const Tier tier : {Tier::kLocal, Tier::kSite, Tier::kCloud}) {
    EXPECT_EQ(parse_tier(to_string(tier)), tier);
  }
  EXPECT_FALSE(parse_tier(""));
  EXPECT_FALSE(parse_server_kind("lmstudio"));
}

TEST(UpstreamUrl, IsTakenApart) {
  const Result<Url> url = parse_url("https://gpu.example:8443/api/v1/");
  ASSERT_TRUE(url) << url.error().to_string();
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "gpu.example");
  EXPECT_EQ(url->port, "8443");
  EXPECT_EQ(url->path, "/api/v1");
  EXPECT_EQ(url->authority(), "gpu.example:8443");
  EXPECT_EQ(parse_url("https://api.example/v1")->authority(), "api.example");
  const Result<Url> six = parse_url("http://[::1]:11434/v1");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "::1");
  EXPECT_EQ(six->authority(), "[::1]:11434");
  EXPECT_EQ(parse_url("http://a")->path, "");
}

TEST(UpstreamUrl, RefusesWhatCouldHideSomething) {
  for (const char* text : {"",
                           "ftp://a/v1",
                           "gpu.example/v1",
                           "https://",
                           "https:///v1",
                           "https://user:word@host/v1",
                           "https://host/v1?key=1",
                           "https://host/v1#x",
                           "https://host:0/v1",
                           "https://host:99999/v1",
                           "https://host:x/v1",
                           "https://[::1/v1",
                           "https://ho st/v1",
                           "https://host/\r\nX: y"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

}  // namespace
}  // namespace skerry::agent::upstream
