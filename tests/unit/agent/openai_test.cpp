#include "skerry/agent/openai.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/common/json.hpp"

namespace skerry::agent::openai {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kBody = 1U << 20U;

std::string request(std::string_view more) {
  return R"({"model":"default","messages":[{"role":"user","content":"hi"}])" + std::string{more} +
         "}";
}

std::string param_of_problem(std::string_view body) {
  Result<ChatRequest> parsed = parse_chat_request(body, kBody);
  EXPECT_FALSE(parsed) << body;
  return parsed ? "" : param_of(parsed.error());
}

TEST(OpenAiRequest, ReadsWhatClientsSend) {
  Result<ChatRequest> parsed = parse_chat_request(
      request(
          R"(,"temperature":0,"top_p":0.5,"frequency_penalty":-2,"presence_penalty":0.5,"seed":-3,"max_completion_tokens":9,"stop":["a","b"],)"
          R"("stream":true,"stream_options":{"include_usage":true},"user":"x","n":1,"tools":[])"),
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->model, "default");
  EXPECT_THAT(parsed->messages, testing::ElementsAre(ChatMessage{"user", "hi"}));
  EXPECT_EQ(parsed->temperature, 0.0);
  EXPECT_EQ(parsed->frequency_penalty, -2.0);
  EXPECT_EQ(parsed->presence_penalty, 0.5);
  EXPECT_EQ(parsed->max_tokens, 9U);
  EXPECT_TRUE(parsed->seed.has_value());
  EXPECT_THAT(parsed->stop, testing::ElementsAre("a", "b"));
  EXPECT_TRUE(parsed->stream);
  EXPECT_TRUE(parsed->include_usage);
}

TEST(OpenAiRequest, JoinsTextPartsAndReadsDeveloperAsSystem) {
  Result<ChatRequest> parsed = parse_chat_request(
      R"({"model":"m","messages":[{"role":"developer","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"b"}]}],"stop":"x"})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_THAT(parsed->messages, testing::ElementsAre(ChatMessage{"system", "ab"}));
  EXPECT_THAT(parsed->stop, testing::ElementsAre("x"));
}

TEST(OpenAiRequest, NamesTheParameterThatIsWrong) {
  EXPECT_EQ(param_of_problem(R"({"messages":[{"role":"user","content":"hi"}]})"), "model");
  EXPECT_EQ(param_of_problem(R"({"model":"m","messages":[]})"), "messages");
  EXPECT_EQ(param_of_problem(R"({"model":"m","messages":[{"role":"robot","content":"x"}]})"),
            "messages[0].role");
  EXPECT_EQ(param_of_problem(R"({"model":"m","messages":[{"role":"user"}]})"),
            "messages[0].content");
  EXPECT_EQ(param_of_problem(
                R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]})"),
            "messages[0].content[0].type");
  EXPECT_EQ(param_of_problem(request(R"(,"temperature":"hot")")), "temperature");
  EXPECT_EQ(param_of_problem(request(R"(,"temperature":3)")), "temperature");
  EXPECT_EQ(param_of_problem(request(R"(,"frequency_penalty":2.5)")), "frequency_penalty");
  EXPECT_EQ(param_of_problem(request(R"(,"presence_penalty":"much")")), "presence_penalty");
  EXPECT_EQ(param_of_problem(request(R"(,"max_tokens":0)")), "max_tokens");
  EXPECT_EQ(param_of_problem(request(R"(,"n":2)")), "n");
  EXPECT_EQ(param_of_problem(request(R"(,"stop":[""])")), "stop");
  EXPECT_EQ(param_of_problem(request(R"(,"stream":"yes")")), "stream");
  EXPECT_EQ(param_of_problem(request(R"(,"tools":[{"type":"function"}])")), "tools");
  EXPECT_EQ(param_of_problem(request(R"(,"response_format":{"type":"json_object"})")),
            "response_format");
}

TEST(OpenAiRequest, RefusesWhatIsNoJsonObject) {
  for (const char* body : {"", "[", "[]", "3", "{\"model\":\"m\",\"model\":\"m\"}", "\xff"}) {
    Result<ChatRequest> parsed = parse_chat_request(body, kBody);
    ASSERT_FALSE(parsed) << body;
    EXPECT_EQ(http_error(parsed.error().code()).status, 400) << parsed.error().to_string();
  }
  const std::string deep(1000, '[');
  EXPECT_FALSE(parse_chat_request(deep, kBody));
  Result<ChatRequest> large = parse_chat_request(request(""), 10);
  ASSERT_FALSE(large);
  EXPECT_EQ(http_error(large.error().code()).status, 413);
}

Result<Json> data_of(const std::string& event) {
  EXPECT_TRUE(event.starts_with("data: "));
  EXPECT_TRUE(event.ends_with("\n\n"));
  return Json::parse(event.substr(6, event.size() - 8));
}

TEST(OpenAiResponse, StreamGivesRoleFirstFinishAndUsageLast) {
  const Answer answer{"chatcmpl-1", "acme/log-triage", 1700000000, true};
  Result<Json> role = data_of(role_event(answer));
  ASSERT_TRUE(role);
  const Json& first = (*role->find("choices")->array())[0];
  EXPECT_EQ(first.find("delta")->get_string("role").value_or(""), "assistant");
  EXPECT_TRUE(first.find("finish_reason")->is_null());
  ASSERT_NE(role->find("usage"), nullptr);
  EXPECT_TRUE(role->find("usage")->is_null());

  Result<Json> finish = data_of(finish_event(answer, "stop"));
  ASSERT_TRUE(finish);
  EXPECT_EQ((*finish->find("choices")->array())[0].get_string("finish_reason").value_or(""),
            "stop");

  Result<Json> usage = data_of(usage_event(answer, Usage{3, 4, 1}));
  ASSERT_TRUE(usage);
  EXPECT_TRUE(usage->find("choices")->array()->empty());
  EXPECT_EQ(usage->find("usage")->get_int("total_tokens").value_or(0), 7);
  EXPECT_EQ(done_event(), "data: [DONE]\n\n");
}

TEST(OpenAiResponse, TextIsEscapedIntoOneLine) {
  const std::string event = text_event(Answer{"i", "m", 0, false}, "a\n\"b\"\u2028");
  EXPECT_EQ(event.find('\n'), event.size() - 2);
  Result<Json> json = data_of(event);
  ASSERT_TRUE(json);
  EXPECT_EQ((*json->find("choices")->array())[0].find("delta")->get_string("content").value_or(""),
            "a\n\"b\"\u2028");
}

TEST(OpenAiResponse, ErrorBodyHasTheFourMembers) {
  Result<Json> json =
      Json::parse(error_body(Error{Error::Code::kContextTooLong, "4097 tokens, 4096 fit"}));
  ASSERT_TRUE(json);
  const Json* error = json->find("error");
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->get_string("code").value_or(""), "context_length_exceeded");
  EXPECT_EQ(error->get_string("type").value_or(""), "invalid_request_error");
  EXPECT_TRUE(error->find("param")->is_null());
}

TEST(OpenAiResponse, StatusesFollowTheTable) {
  EXPECT_EQ(http_error(Error::Code::kPermissionDenied).status, 403);
  EXPECT_EQ(http_error(Error::Code::kUnauthenticated).status, 401);
  EXPECT_EQ(http_error(Error::Code::kNotFound).status, 404);
  EXPECT_EQ(http_error(Error::Code::kQueueFull).status, 503);
  EXPECT_GT(http_error(Error::Code::kQueueFull).retry_after, 0);
  EXPECT_EQ(http_error(Error::Code::kOutOfMemory).status, 503);
  EXPECT_FALSE(http_error(Error::Code::kOutOfMemory).retryable);
  for (const Error::Code code : all_error_codes()) {
    EXPECT_GE(http_error(code).status, 400);
    EXPECT_FALSE(http_error(code).type.empty());
  }
}

}  // namespace
}  // namespace skerry::agent::openai
