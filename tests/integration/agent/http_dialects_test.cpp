// The HTTP dialects against skerryd as a process, with the null engine, which answers with what it
// was asked last.
#include <cmath>

#include <gmock/gmock.h>

#include "skerry/common/json.hpp"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

using test::get;
using test::http;
using test::post;
using ::testing::HasSubstr;

class HttpDialects : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon_.activate_echo("1.0.0", 1);
    daemon_.start();
  }
  [[nodiscard]] std::string ask(const std::string& path, const std::string& body) const {
    return http(daemon_.socket("http"), post(path, body));
  }
  // The body of an answer that came whole.
  [[nodiscard]] Json json(const std::string& path, const std::string& body) const {
    const std::string answer = ask(path, body);
    const std::size_t at = answer.find("\r\n\r\n");
    Result<Json> parsed = at == std::string::npos ? Json{} : Json::parse(answer.substr(at + 4));
    EXPECT_TRUE(parsed) << answer << daemon_.log();
    return parsed ? *parsed : Json{};
  }

  test::DaemonHarness daemon_;
};

void expect_order(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t at = 0;
  for (const std::string& part : parts) {
    const std::size_t found = text.find(part, at);
    ASSERT_NE(found, std::string::npos) << part << " is missing or out of order in:\n" << text;
    at = found + part.size();
  }
}

TEST_F(HttpDialects, CompletionsAnswerEveryPromptAndChoice) {
  const Json body = json("/v1/completions",
                         R"({"model":"default","prompt":["ping","pong"],"n":2,"temperature":0})");
  ASSERT_NE(body.find("choices"), nullptr) << body.dump();
  const Json::Array& choices = *body.find("choices")->array();
  ASSERT_EQ(choices.size(), 4U);
  EXPECT_EQ(choices[1].get_string("text").value_or(""), "ping");
  EXPECT_EQ(choices[2].get_string("text").value_or(""), "pong");
  // Begin and four letters of each prompt, once; each letter and the end of each answer.
  EXPECT_EQ(body.find("usage")->get_int("prompt_tokens").value_or(0), 10);
}

TEST_F(HttpDialects, EmbeddingsTakeTextAndItsTokens) {
  const Json body = json("/v1/embeddings", R"({"model":"default","input":["hi",[104,105]]})");
  ASSERT_NE(body.find("data"), nullptr) << body.dump();
  const Json::Array& data = *body.find("data")->array();
  ASSERT_EQ(data.size(), 2U);
  EXPECT_EQ(*data[0].find("embedding"), *data[1].find("embedding"));
  EXPECT_EQ(body.find("usage")->get_int("prompt_tokens").value_or(0), 6);
  EXPECT_THAT(ask("/v1/embeddings", R"({"model":"default","input":"hi","dimensions":3})"),
              HasSubstr("\"param\":\"dimensions\""));
}

TEST_F(HttpDialects, MessagesStreamInOrderAndCount) {
  const std::string stream = ask(
      "/v1/messages",
      R"({"model":"default","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"ping"}]})");
  expect_order(stream,
               {"event: message_start",
                "event: ping",
                "event: content_block_start",
                "event: content_block_delta",
                "event: content_block_stop",
                "event: message_delta",
                "event: message_stop"});
  const Json counted = json("/v1/messages/count_tokens",
                            R"({"model":"default","messages":[{"role":"user","content":"ping"}]})");
  EXPECT_EQ(counted.get_int("input_tokens").value_or(0), 5);
  // The template says one letter for each year since 1970.
  const Json years = json("/v1/messages/count_tokens",
                          R"({"model":"default","messages":[{"role":"user","content":"years"}]})");
  EXPECT_GT(years.get_int("input_tokens").value_or(0), 50);
  EXPECT_THAT(ask("/v1/messages", "{"), HasSubstr("\"type\":\"invalid_request_error\""));
}

TEST_F(HttpDialects, OllamaStreamsLinesLoadsAndUnloads) {
  const std::string stream = ask("/api/generate", R"({"model":"default","prompt":"ping"})");
  expect_order(stream, {"application/x-ndjson", "\"done\":false", "\"done\":true"});
  EXPECT_THAT(stream, HasSubstr("\"done_reason\":\"stop\""));
  const std::string socket = daemon_.socket("http");
  EXPECT_THAT(http(socket, get("/api/ps")), HasSubstr("acme/echo:1.0.0"));
  EXPECT_THAT(ask("/api/generate", R"({"model":"default","keep_alive":0})"),
              HasSubstr("\"done_reason\":\"unload\""));
  EXPECT_THAT(http(socket, get("/api/ps")), HasSubstr("{\"models\":[]}"));
  EXPECT_THAT(http(socket, get("/api/tags")), HasSubstr("acme/echo:1.0.0"));
  EXPECT_THAT(http(socket, get("/")), HasSubstr("Ollama is running"));
  EXPECT_THAT(ask("/api/pull", R"({"model":"acme/echo"})"), HasSubstr("\"status\":\"success\""));
  EXPECT_THAT(ask("/api/pull", R"({"model":"acme/none"})"), HasSubstr("404 Not Found"));
  EXPECT_THAT(ask("/api/create", R"({"model":"acme/mine"})"), HasSubstr("501 Not Implemented"));
}

TEST_F(HttpDialects, ResponsesAnswerAndStoreNothing) {
  const Json body = json("/v1/responses", R"({"model":"default","input":"ping"})");
  EXPECT_EQ(body.get_string("status").value_or(""), "completed") << body.dump();
  EXPECT_FALSE(body.get_bool("store").value_or(true));
  EXPECT_THAT(ask("/v1/responses", R"({"model":"default","input":"x","store":true})"),
              HasSubstr("\"param\":\"store\""));
}

// The null engine would repeat the question: what it may not say, it does not.
TEST_F(HttpDialects, AnswersFollowWhatWasAskedForInEveryDialect) {
  const std::string schema =
      R"({"type":"object","properties":{"z":{"enum":["no","yes"]},"a":{"type":"boolean"}},)"
      R"("required":["z","a"],"additionalProperties":false})";
  const auto fits = [](std::string_view text) {
    Result<Json> parsed = Json::parse(text);
    EXPECT_TRUE(parsed) << text;
    EXPECT_LT(text.find("\"z\""), text.find("\"a\"")) << "not in the schema's order: " << text;
    return parsed && parsed->get_bool("a") && parsed->object()->size() == 2;
  };
  const std::string ask_yes = R"({"model":"default","temperature":0,"messages":[)"
                              R"({"role":"user","content":"{\"z\":\"yes\",\"a\":true}"}],)";
  const Json chat = json(
      "/v1/chat/completions",
      ask_yes + R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":)" +
          schema + "}}}");
  ASSERT_NE(chat.find("choices"), nullptr) << chat.dump();
  const Json& choice = (*chat.find("choices")->array())[0];
  EXPECT_EQ(choice.find("message")->get_string("content").value_or(""), R"({"z":"yes","a":true})");
  EXPECT_EQ(choice.get_string("finish_reason").value_or(""), "stop");
  const Json bound = json(
      "/v1/responses",
      R"({"model":"default","temperature":0,"input":"ping","text":{"format":{"type":"json_schema","name":"x","schema":)" +
          schema + "}}}");
  ASSERT_NE(bound.find("output"), nullptr) << bound.dump();
  const Json& message = (*bound.find("output")->array())[0];
  EXPECT_TRUE(fits((*message.find("content")->array())[0].get_string("text").value_or("")));
  const Json ollama =
      json("/api/generate",
           R"({"model":"default","prompt":"ping","stream":false,"format":)" + schema + "}");
  EXPECT_TRUE(fits(ollama.get_string("response").value_or(ollama.dump())));
  const Json anthropic =
      json("/v1/messages",
           R"({"model":"default","max_tokens":90,"messages":[{"role":"user","content":"ping"}],)"
           R"("output_config":{"format":{"type":"json_schema","schema":)" +
               schema + "}}}");
  ASSERT_NE(anthropic.find("content"), nullptr) << anthropic.dump();
  EXPECT_TRUE(fits((*anthropic.find("content")->array())[0].get_string("text").value_or("")));
  const std::string refused =
      ask("/api/generate",
          R"({"model":"default","prompt":"x","format":{"type":"string","pattern":"a"}})");
  EXPECT_THAT(refused, HasSubstr("400 Bad Request"));
  EXPECT_THAT(refused, HasSubstr("pattern"));
}

// The null engine's logits are 9 for what it says and 0 for its 257 other tokens.
TEST_F(HttpDialects, LogProbabilitiesAreTold) {
  const double expected = 9.0 - std::log(std::exp(9.0) + 257.0);
  const std::string asked =
      R"({"model":"default","temperature":0,"logprobs":true,"top_logprobs":2,"messages":[{"role":"user","content":"hi"}])";
  const Json chat = json("/v1/chat/completions", asked + "}");
  ASSERT_NE(chat.find("choices"), nullptr) << chat.dump();
  const Json::Array& content =
      *(*chat.find("choices")->array())[0].find("logprobs")->find("content")->array();
  ASSERT_EQ(content.size(), 2U) << chat.dump();
  EXPECT_EQ(content[1].get_string("token").value_or(""), "i");
  EXPECT_NEAR(content[1].get_number("logprob").value_or(0), expected, 1e-5);
  EXPECT_EQ(content[1].find("top_logprobs")->array()->size(), 2U);
  const std::string stream = ask("/v1/chat/completions", asked + R"(,"stream":true})");
  expect_order(stream, {R"("token":"h")", R"("token":"i")", "[DONE]"});
}

// 16 answers of 480 tokens with 20 alternatives each.
TEST_F(HttpDialects, LogProbabilitiesOfAWholeAnswerAreBounded) {
  EXPECT_THAT(ask("/v1/chat/completions",
                  R"({"model":"default","n":16,"logprobs":true,"top_logprobs":20,)"
                  R"("messages":[{"role":"user","content":")" +
                      std::string(480, 'x') + R"("}]})"),
              HasSubstr("at most 131072 log-probabilities"));
}

TEST_F(HttpDialects, KserveInfersWithJsonAndWithBytes) {
  const Json body =
      json("/v2/models/default/infer",
           R"({"id":"7","inputs":[{"name":"x","shape":[3],"datatype":"UINT8","data":[1,2,3]}]})");
  EXPECT_EQ(body.get_string("id").value_or(""), "7") << body.dump();
  const std::string head =
      R"({"inputs":[{"name":"x","shape":[3],"datatype":"UINT8","parameters":{"binary_data_size":3}}]})";
  const std::string bytes = http(
      daemon_.socket("http"),
      "POST /v2/models/acme/echo/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
      "inference-header-content-length: " +
          std::to_string(head.size()) + "\r\ncontent-length: " + std::to_string(head.size() + 3) +
          "\r\n\r\n" + head + "abc");
  EXPECT_THAT(bytes, HasSubstr("200 OK"));
  EXPECT_THAT(http(daemon_.socket("http"), get("/v2/models/acme/none/ready")),
              HasSubstr("404 Not Found"));
}

TEST_F(HttpDialects, SayHowMuchOfAPromptWasCached) {
  const std::string text(100, 'x');
  const std::string chat =
      R"({"model":"default","max_tokens":4,"messages":[{"role":"user","content":")" + text +
      R"("}]})";
  const auto cached = [](const Json& body, const char* details) {
    const Json* usage = body.find("usage");
    const Json* in = usage == nullptr ? nullptr : usage->find(details);
    return in == nullptr ? -1 : in->get_int("cached_tokens").value_or(-1);
  };
  EXPECT_EQ(cached(json("/v1/chat/completions", chat), "prompt_tokens_details"), 0);
  EXPECT_EQ(cached(json("/v1/chat/completions", chat), "prompt_tokens_details"), 96);
  const Json message = json("/v1/messages", chat);
  ASSERT_NE(message.find("usage"), nullptr) << message.dump();
  EXPECT_EQ(message.find("usage")->get_int("cache_read_input_tokens").value_or(-1), 96);
  EXPECT_EQ(message.find("usage")->get_int("input_tokens").value_or(-1), 5);
  const Json response = json("/v1/responses", R"({"model":"default","input":")" + text + R"("})");
  EXPECT_EQ(cached(response, "input_tokens_details"), 96);
  EXPECT_EQ(daemon_.metric("vllm:prefix_cache_queries_total"), 4 * 101);
  EXPECT_EQ(daemon_.metric("vllm:prefix_cache_hits_total"), 3 * 96);
}

TEST_F(HttpDialects, AreAllCounted) {
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {"/v1/messages",
            R"({"model":"default","max_tokens":5,"messages":[{"role":"user","content":"ping"}]})"},
           {"/api/chat", R"({"model":"default","messages":[{"role":"user","content":"ping"}]})"},
           {"/v1/embeddings", R"({"model":"default","input":"ping"})"}}) {
    EXPECT_THAT(ask(path, body), HasSubstr("200 OK")) << path;
  }
  EXPECT_EQ(daemon_.metric("vllm:request_success_total"), 3);
  EXPECT_EQ(daemon_.metric("vllm:prompt_tokens_total"), 15);
}

}  // namespace
}  // namespace skerry
