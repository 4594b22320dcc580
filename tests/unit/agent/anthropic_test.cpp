#include "skerry/agent/anthropic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/agent/api_style.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::anthropic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kBody = 1U << 20U;

std::string body(std::string_view more) {
  return R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}])" +
         std::string{more} + "}";
}

std::string problem(std::string_view text) {
  Result<TextRequest> parsed = parse_messages_request(text, kBody);
  EXPECT_FALSE(parsed) << text;
  return parsed ? "" : openai::param_of(parsed.error());
}

// The names of the events, in order.
std::vector<std::string> names(const std::string& text) {
  std::vector<std::string> found;
  for (std::size_t at = text.find("event: "); at != std::string::npos;
       at = text.find("event: ", at + 1)) {
    found.push_back(text.substr(at + 7, text.find('\n', at) - at - 7));
  }
  return found;
}

TEST(AnthropicRequest, ReadsSystemTurnsAndSampling) {
  Result<TextRequest> parsed = parse_messages_request(
      body(
          R"(,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],)"
          R"("temperature":0.5,"top_k":4,"top_p":0.9,"stop_sequences":["END"],"stream":true,"metadata":{"user_id":"u"})"),
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_THAT(std::get<std::vector<ChatMessage>>(parsed->prompts.front()),
              ElementsAre(ChatMessage{"system", "be brief"}, ChatMessage{"user", "hi"}));
  EXPECT_EQ(parsed->max_tokens, 5U);
  EXPECT_EQ(parsed->sampling.temperature, 0.5);
  EXPECT_EQ(parsed->sampling.top_k, 4U);
  EXPECT_THAT(parsed->stop, ElementsAre("END"));
  EXPECT_TRUE(parsed->stream);
}

TEST(AnthropicRequest, NamesWhatIsWrongOrNotOffered) {
  EXPECT_EQ(problem(R"({"model":"m","messages":[{"role":"user","content":"x"}]})"), "max_tokens");
  EXPECT_EQ(problem(R"({"model":"m","max_tokens":1,"messages":[]})"), "messages");
  EXPECT_EQ(problem(R"({"model":"m","max_tokens":1,"messages":[{"role":"system","content":"x"}]})"),
            "messages[0].role");
  EXPECT_EQ(problem(body(R"(,"tools":[{"name":"a b"}])")), "tools[0].name");
  EXPECT_EQ(problem(body(R"(,"tools":[{"type":"web_search_20250305","name":"x"}])")),
            "tools[0].type");
  EXPECT_EQ(problem(body(R"(,"tool_choice":{"type":"any"})")), "tool_choice");
  EXPECT_EQ(problem(body(R"(,"output_config":{"format":{"type":"json_object"}})")),
            "output_config.format.type");
  EXPECT_EQ(
      problem(body(R"(,"output_config":{"format":{"type":"json_schema","schema":{"type":"x"}}})")),
      "output_config.format.schema");
  EXPECT_EQ(problem(body(R"(,"thinking":{"type":"much"})")), "thinking.type");
  EXPECT_EQ(problem(body(R"(,"temperature":1.5)")), "temperature");
  EXPECT_EQ(
      problem(
          R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]})"),
      "messages[0].content[0].type");
  // An answer that is begun already cannot be continued through a chat template.
  EXPECT_EQ(
      problem(
          R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"{"}]})"),
      "messages");
  EXPECT_TRUE(parse_messages_request(body(R"(,"thinking":{"type":"disabled"})"), kBody));
  EXPECT_TRUE(
      parse_count_request(R"({"model":"m","messages":[{"role":"user","content":"x"}]})", kBody));
}

TEST(AnthropicResponse, StreamsEventsInTheOrderThatClientsExpect) {
  auto dialect = make_message_dialect("msg_1");
  std::string text = dialect->begin({"acme/echo", 7, 2});
  text += dialect->delta(0, "a\n");
  TextEnd end;
  end.stop_match = "END";
  text += dialect->ended(0, end);
  TextTotals totals;
  totals.prompt_tokens = 7;
  totals.cached_tokens = 2;
  totals.completion_tokens = 3;
  text += dialect->end(totals);
  EXPECT_THAT(names(text),
              ElementsAre("message_start",
                          "ping",
                          "content_block_start",
                          "content_block_delta",
                          "content_block_stop",
                          "message_delta",
                          "message_stop"));
  EXPECT_THAT(text, HasSubstr(R"("input_tokens":5)"));
  EXPECT_THAT(text, HasSubstr(R"("cache_read_input_tokens":2)"));
  EXPECT_THAT(text, HasSubstr(R"("stop_reason":"stop_sequence","stop_sequence":"END")"));
  EXPECT_THAT(text, HasSubstr(R"("output_tokens":3)"));
  EXPECT_THAT(names(dialect->failed(Error{Error::Code::kWorkerLost, "gone"})),
              ElementsAre("error"));
}

TEST(AnthropicResponse, AnswersWholeWithOneTextBlock) {
  auto dialect = make_message_dialect("msg_1");
  TextEnd cut;
  cut.length = true;
  const Json message =
      *Json::parse(dialect->whole({"acme/echo", 7, 0}, {TextChoice{"hello", cut}}, TextTotals{}));
  EXPECT_EQ(message.get_string("type").value_or(""), "message");
  EXPECT_EQ((*message.find("content")->array())[0].get_string("text").value_or(""), "hello");
  EXPECT_EQ(message.get_string("stop_reason").value_or(""), "max_tokens");
  EXPECT_TRUE(message.find("stop_sequence")->is_null());
}

TEST(AnthropicResponse, ErrorsHaveAnthropicsShapeAndTypes) {
  const auto type = [](Error::Code code) {
    const Json json = *Json::parse(error_body(Error{code, "x"}, "req-1"));
    EXPECT_EQ(json.get_string("type").value_or(""), "error");
    EXPECT_EQ(json.get_string("request_id").value_or(""), "req-1");
    return json.find("error")->get_string("type").value_or("");
  };
  EXPECT_EQ(type(Error::Code::kInvalidArgument), "invalid_request_error");
  EXPECT_EQ(type(Error::Code::kUnauthenticated), "authentication_error");
  EXPECT_EQ(type(Error::Code::kPermissionDenied), "permission_error");
  EXPECT_EQ(type(Error::Code::kNotFound), "not_found_error");
  EXPECT_EQ(type(Error::Code::kTooLarge), "request_too_large");
  EXPECT_EQ(type(Error::Code::kResourceExhausted), "rate_limit_error");
  EXPECT_EQ(type(Error::Code::kQueueFull), "overloaded_error");
  EXPECT_EQ(type(Error::Code::kInternal), "api_error");
}

TEST(ApiStyle, FollowsThePathAndTheHeaderOfTheListing) {
  EXPECT_EQ(api_style_of("/v1/chat/completions", true), ApiStyle::kOpenAi);
  EXPECT_EQ(api_style_of("/v1/messages", false), ApiStyle::kAnthropic);
  EXPECT_EQ(api_style_of("/v1/messages/count_tokens", false), ApiStyle::kAnthropic);
  EXPECT_EQ(api_style_of("/v1/models", false), ApiStyle::kOpenAi);
  EXPECT_EQ(api_style_of("/v1/models", true), ApiStyle::kAnthropic);
  EXPECT_EQ(api_style_of("/api/chat", false), ApiStyle::kOllama);
  EXPECT_EQ(api_style_of("/v2/models/x/infer", false), ApiStyle::kKserve);
  EXPECT_EQ(api_style_of("/apis", false), ApiStyle::kOpenAi);
}

}  // namespace
}  // namespace skerry::agent::anthropic
