// What each kind of server is sent, and what it is not asked at all.
#include "skerry/agent/upstream_request.hpp"

#include <gmock/gmock.h>

#include "skerry/agent/upstream_http.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::upstream {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Spec spec_of(std::uint32_t context = 0) {
  Spec spec;
  spec.model = "m";
  spec.order = {Tier::kLocal};
  spec.context_length = context;
  spec.text = true;
  spec.embed = true;
  return spec;
}

runtime::GenerateRequest chat_of(const std::string& text) {
  runtime::GenerateRequest request;
  runtime::PromptChat chat;
  chat.messages = {{"system", "be brief"}, {"user", text}};
  request.prompt = std::move(chat);
  return request;
}

runtime::GenerateRequest everything() {
  runtime::GenerateRequest request = chat_of("hi");
  request.max_tokens = 7;
  request.stop = {"END"};
  request.sampling.temperature = 0.7F;
  request.sampling.top_p = 0.9F;
  request.sampling.top_k = 40;
  request.sampling.min_p = 0.05F;
  request.sampling.repeat_penalty = 1.1F;
  request.sampling.frequency_penalty = 0.5F;
  request.sampling.seed = 0xffffffffffffffffULL;
  return request;
}

std::string body_for(ServerKind kind,
                     const runtime::GenerateRequest& request,
                     Spec spec = spec_of()) {
  return render(quirks_of(kind), spec, "m", "5a17", request).json;
}

// Numbers may be spelt in several ways.
Json json(const std::string& text) {
  Result<Json> value = Json::parse(text);
  EXPECT_TRUE(value) << text;
  return value ? *value : Json{};
}

TEST(UpstreamRequest, VllmIsSentAllThatItKnows) {
  EXPECT_EQ(json(body_for(ServerKind::kVllm, everything())),
            json(R"({"cache_salt":"5a17","frequency_penalty":0.5,"max_tokens":7,"messages":)"
                 R"([{"content":"be brief","role":"system"},{"content":"hi","role":"user"}],)"
                 R"("min_p":0.05,"model":"m","repetition_penalty":1.1,"seed":9223372036854775807,)"
                 R"("stop":["END"],"stream":true,"stream_options":{"include_usage":true},)"
                 R"("temperature":0.7,"top_k":40,"top_p":0.9})"));
}

TEST(UpstreamRequest, OpenAiIsSentNothingThatItWouldRefuse) {
  EXPECT_EQ(json(body_for(ServerKind::kOpenAi, everything())),
            json(R"({"frequency_penalty":0.5,"max_completion_tokens":7,"messages":)"
                 R"([{"content":"be brief","role":"system"},{"content":"hi","role":"user"}],)"
                 R"("model":"m","seed":9223372036854775807,"stop":["END"],"stream":true,)"
                 R"("stream_options":{"include_usage":true},"temperature":0.7,"top_p":0.9})"));
}

TEST(UpstreamRequest, MlxIsAlwaysToldALimit) {
  runtime::GenerateRequest request = chat_of("hi");
  EXPECT_THAT(body_for(ServerKind::kMlxLm, request), HasSubstr(R"("max_tokens":32768)"));
  EXPECT_THAT(body_for(ServerKind::kMlxLm, request, spec_of(4096)),
              HasSubstr(R"("max_tokens":4096)"));
  EXPECT_THAT(body_for(ServerKind::kVllm, request), Not(HasSubstr("max_tokens")));
}

TEST(UpstreamRequest, MlxHasAWindowAndNoPenalties) {
  const std::string body = body_for(ServerKind::kMlxLm, everything());
  EXPECT_THAT(body, HasSubstr(R"("repetition_context_size":64,"repetition_penalty":1.1E0)"));
  EXPECT_THAT(body, Not(HasSubstr("frequency_penalty")));
}

TEST(UpstreamRequest, FoundryIsNotAskedForUsage) {
  EXPECT_THAT(body_for(ServerKind::kFoundryLocal, everything()), Not(HasSubstr("stream_options")));
}

TEST(UpstreamRequest, CompletionsKeepTheOlderNameOfTheLimit) {
  runtime::GenerateRequest request;
  request.prompt = runtime::Prompt{"once"};
  request.max_tokens = 3;
  request.log_probs = 2;
  const Body body = render(quirks_of(ServerKind::kOpenAi), spec_of(), "m", "", request);
  EXPECT_EQ(body.path, "completions");
  EXPECT_THAT(body.json, HasSubstr(R"("logprobs":2,"max_tokens":3,"model":"m","prompt":"once")"));
}

TEST(UpstreamRequest, LogProbsOfAChatAreASwitchAndANumber) {
  runtime::GenerateRequest request = chat_of("hi");
  request.log_probs = 0;
  EXPECT_THAT(body_for(ServerKind::kVllm, request), HasSubstr(R"("logprobs":true)"));
  EXPECT_THAT(body_for(ServerKind::kVllm, request), Not(HasSubstr("top_logprobs")));
  request.log_probs = 5;
  EXPECT_THAT(body_for(ServerKind::kVllm, request), HasSubstr(R"("top_logprobs":5)"));
}

TEST(UpstreamRequest, VllmTakesGrammarsAndTokens) {
  runtime::GenerateRequest request;
  request.prompt = runtime::PromptTokens{{1, 2, 3}};
  request.grammar = "root ::= \"a\"";
  EXPECT_TRUE(can_answer(quirks_of(ServerKind::kVllm), request));
  const std::string body = body_for(ServerKind::kVllm, request);
  EXPECT_THAT(body, HasSubstr(R"("structured_outputs":{"grammar":"root ::= \"a\""})"));
  EXPECT_THAT(body, HasSubstr(R"("prompt":[1,2,3])"));
}

constexpr const char* kTools =
    R"([{"type":"function","function":{"name":"open","parameters":{"z":1,"a":2}}}])";

runtime::GenerateRequest tools_of() {
  runtime::GenerateRequest request = chat_of("hi");
  std::get<runtime::PromptChat>(request.prompt).tools = kTools;
  return request;
}
runtime::PromptChat& prompt_of(runtime::GenerateRequest& request) {
  return std::get<runtime::PromptChat>(request.prompt);
}

TEST(UpstreamRequest, ToolsAreSentAsTheyWereWritten) {
  runtime::GenerateRequest request = tools_of();
  for (const ServerKind kind :
       {ServerKind::kVllm, ServerKind::kOllama, ServerKind::kMlxLm, ServerKind::kOpenAi}) {
    ASSERT_TRUE(can_answer(quirks_of(kind), request));
    const std::string body = body_for(kind, request);
    EXPECT_THAT(body, HasSubstr(std::string{"\"tools\":"} + kTools)) << "in their order";
    EXPECT_THAT(body, Not(HasSubstr("tool_choice")));
    EXPECT_THAT(body, Not(HasSubstr("parallel_tool_calls")));
    EXPECT_TRUE(json(body).is_object());
  }
  prompt_of(request).rules.parallel = false;
  prompt_of(request).rules.choice = runtime::ToolRules::Choice::kRequired;
  EXPECT_THAT(body_for(ServerKind::kVllm, request),
              HasSubstr(R"("tool_choice":"required","parallel_tool_calls":false)"));
  prompt_of(request).rules.choice = runtime::ToolRules::Choice::kNamed;
  prompt_of(request).rules.named = "open";
  EXPECT_THAT(body_for(ServerKind::kOpenAi, request),
              HasSubstr(R"("tool_choice":{"function":{"name":"open"},"type":"function"})"));
}

TEST(UpstreamRequest, CallsAndResultsBelongTogether) {
  runtime::GenerateRequest request = tools_of();
  std::vector<runtime::ChatMessage>& messages = prompt_of(request).messages;
  runtime::ChatMessage calls{"assistant", ""};
  calls.reasoning = "hmm";
  calls.tool_calls = {{"id-1", "open", R"({"a":1})"}, {"", "shut", ""}};
  runtime::ChatMessage shut{"tool", "done"};
  shut.name = "shut";
  runtime::ChatMessage opened{"tool", "ok"};
  opened.tool_call_id = "id-1";
  messages = {calls, shut, opened};
  const Json vllm = json(body_for(ServerKind::kVllm, request));
  ASSERT_NE(vllm.find("messages"), nullptr);
  EXPECT_EQ(
      *vllm.find("messages"),
      json(R"([{"role":"assistant","content":null,"tool_calls":[)"
           R"({"id":"id-1","type":"function","function":{"name":"open","arguments":"{\"a\":1}"}},)"
           R"({"id":"call00002","type":"function","function":{"name":"shut","arguments":"{}"}}]},)"
           R"({"role":"tool","content":"done","tool_call_id":"call00002","name":"shut"},)"
           R"({"role":"tool","content":"ok","tool_call_id":"id-1"}])"));
  EXPECT_THAT(body_for(ServerKind::kOpenAi, request), Not(HasSubstr(R"("name":"shut","role")")));
  EXPECT_THAT(body_for(ServerKind::kVllm, request), Not(HasSubstr("hmm")));
}

TEST(UpstreamRequest, AFormatIsAskedForWhereThereIsNoGrammar) {
  runtime::GenerateRequest request = chat_of("hi");
  request.grammar = "root ::= \"a\"";
  EXPECT_FALSE(can_answer(quirks_of(ServerKind::kOllama), request)) << "a grammar alone";
  request.response_format =
      R"({"type":"json_schema","json_schema":{"name":"answer","schema":{"z":1,"a":2}}})";
  ASSERT_TRUE(can_answer(quirks_of(ServerKind::kOllama), request));
  EXPECT_THAT(body_for(ServerKind::kOllama, request),
              HasSubstr("\"response_format\":" + request.response_format));
  EXPECT_THAT(body_for(ServerKind::kOllama, request), Not(HasSubstr("root ::=")));
  EXPECT_THAT(body_for(ServerKind::kVllm, request), HasSubstr("structured_outputs"));
  EXPECT_THAT(body_for(ServerKind::kVllm, request), Not(HasSubstr("response_format")));
  EXPECT_FALSE(can_answer(quirks_of(ServerKind::kCompatible), request));
  EXPECT_FALSE(can_answer(quirks_of(ServerKind::kMlxLm), request));
}

TEST(UpstreamRequest, WhetherToThinkIsToldWhereTemplatesCanBeTold) {
  runtime::GenerateRequest request = chat_of("hi");
  prompt_of(request).thinking = false;
  EXPECT_THAT(body_for(ServerKind::kVllm, request),
              HasSubstr(R"("chat_template_kwargs":{"enable_thinking":false})"));
  EXPECT_THAT(body_for(ServerKind::kOpenAi, request), Not(HasSubstr("thinking")));
}

TEST(UpstreamRequest, ToolsArePartOfThePrompt) {
  runtime::GenerateRequest request = chat_of("hi");
  const std::size_t bare = prompt_bytes(request);
  prompt_of(request).tools = kTools;
  EXPECT_EQ(prompt_bytes(request), bare + std::string{kTools}.size());
}

struct Inability {
  ServerKind kind;
  void (*ask)(runtime::GenerateRequest&);
  const char* says;
};

class UpstreamInability : public ::testing::TestWithParam<Inability> {};

TEST_P(UpstreamInability, IsToldBeforeTheServerIsAsked) {
  runtime::GenerateRequest request = chat_of("hi");
  EXPECT_TRUE(can_answer(quirks_of(GetParam().kind), request));
  GetParam().ask(request);
  const Result<void> can = can_answer(quirks_of(GetParam().kind), request);
  ASSERT_FALSE(can);
  EXPECT_EQ(can.error().code(), Error::Code::kUnimplemented);
  EXPECT_THAT(can.error().message(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    UpstreamInability,
    ::testing::Values(
        Inability{ServerKind::kFoundryLocal,
                  [](runtime::GenerateRequest& request) { request.prompt = runtime::Prompt{"x"}; },
                  "chats alone"},
        Inability{
            ServerKind::kOllama,
            [](runtime::GenerateRequest& request) { request.prompt = runtime::PromptTokens{{1}}; },
            "no prompt of tokens"},
        Inability{ServerKind::kOllama,
                  [](runtime::GenerateRequest& request) { request.grammar = "root ::= \"a\""; },
                  "no grammar"},
        Inability{ServerKind::kFoundryLocal,
                  [](runtime::GenerateRequest& request) { prompt_of(request).tools = kTools; },
                  "takes no tools"},
        Inability{ServerKind::kFoundryLocal,
                  [](runtime::GenerateRequest& request) {
                    prompt_of(request).messages.push_back({"tool", "done"});
                  },
                  "takes no tools"},
        Inability{ServerKind::kOllama,
                  [](runtime::GenerateRequest& request) {
                    prompt_of(request).tools = kTools;
                    prompt_of(request).rules.choice = runtime::ToolRules::Choice::kRequired;
                  },
                  "cannot be made to call"},
        Inability{ServerKind::kVllm,
                  [](runtime::GenerateRequest& request) {
                    prompt_of(request).tools = kTools;
                    prompt_of(request).rules.strict = true;
                  },
                  "must not be strict"},
        Inability{ServerKind::kMlxLm,
                  [](runtime::GenerateRequest& request) { request.log_probs = 1; },
                  "no log-probabilities"},
        Inability{ServerKind::kOpenAi,
                  [](runtime::GenerateRequest& request) { request.log_probs = 21; },
                  "at most 20"},
        Inability{ServerKind::kOpenAi,
                  [](runtime::GenerateRequest& request) {
                    request.stop = {"1", "2", "3", "4", "5"};
                  },
                  "at most 4 stop strings"}));

TEST(UpstreamRequest, EmbeddingsAreAskedForAsNumbers) {
  runtime::EmbedRequest request;
  request.texts = {"a", "b"};
  EXPECT_EQ(render("m", request).json,
            R"({"encoding_format":"float","input":["a","b"],"model":"m"})");
  EXPECT_TRUE(can_answer(quirks_of(ServerKind::kOllama), request));
  EXPECT_FALSE(can_answer(quirks_of(ServerKind::kMlxLm), request));
}

TEST(UpstreamRequest, TheSignedDescriptionBoundsWhatIsAsked) {
  Spec chats = spec_of();
  chats.text = false;
  chats.embed = false;
  runtime::GenerateRequest plain;
  plain.prompt = runtime::Prompt{"x"};
  EXPECT_TRUE(check_against(chats, chat_of("x")));
  EXPECT_FALSE(check_against(chats, plain));
  EXPECT_FALSE(check_against(chats, runtime::EmbedRequest{}));
  EXPECT_TRUE(check_against(spec_of(), runtime::EmbedRequest{}));
  EXPECT_EQ(check_against(spec_of(), runtime::ScoreRequest{}).error().code(),
            Error::Code::kUnimplemented);
  EXPECT_EQ(check_against(spec_of(16), chat_of(std::string(2000, 'x'))).error().code(),
            Error::Code::kContextTooLong);
}

TEST(UpstreamRequest, AServerThatCutsSilentlyIsNotGivenALongPrompt) {
  const Quirks& ollama = quirks_of(ServerKind::kOllama);
  const runtime::GenerateRequest large = chat_of(std::string(4000, 'x'));
  EXPECT_EQ(check_uncut(ollama, spec_of(1000), large).error().code(), Error::Code::kContextTooLong);
  EXPECT_TRUE(check_uncut(ollama, spec_of(2000), large));
  EXPECT_TRUE(check_uncut(ollama, spec_of(), large));
  EXPECT_TRUE(check_uncut(quirks_of(ServerKind::kVllm), spec_of(1000), large));
}

TEST(UpstreamRequest, EveryRequestHasALength) {
  HttpAsk ask;
  ask.method = "POST";
  ask.target = "/v1/chat/completions";
  ask.host = "h:1";
  ask.accept = "text/event-stream";
  ask.authorization = "Bearer k";
  ask.body = "{}";
  EXPECT_EQ(write_request(ask),
            "POST /v1/chat/completions HTTP/1.1\r\nHost: h:1\r\nUser-Agent: skerry\r\n"
            "Accept: text/event-stream\r\nConnection: close\r\nAuthorization: Bearer k\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
}

}  // namespace
}  // namespace skerry::agent::upstream
