#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/agent/openai.hpp"
#include "skerry/agent/openai_responses.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::openai {
namespace {

using ::testing::ElementsAre;

constexpr std::size_t kBody = 1U << 20U;

std::string responses_problem(const std::string& more) {
  Result<TextRequest> parsed =
      parse_responses_request(R"({"model":"m","input":"hi",)" + more + "}", kBody);
  EXPECT_FALSE(parsed) << more;
  return parsed ? "" : param_of(parsed.error());
}

TEST(Responses, ReadsTextMessagesAndInstructions) {
  Result<TextRequest> parsed = parse_responses_request(
      R"({"model":"m","instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},)"
      R"({"type":"message","role":"assistant","content":[{"type":"output_text","text":"b"}]},{"role":"developer","content":"c"}],)"
      R"("max_output_tokens":9,"store":false,"stream":true})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_THAT(std::get<std::vector<ChatMessage>>(parsed->prompts.front()),
              ElementsAre(ChatMessage{"system", "be brief"},
                          ChatMessage{"user", "a"},
                          ChatMessage{"assistant", "b"},
                          ChatMessage{"system", "c"}));
  EXPECT_EQ(parsed->max_tokens, 9U);
  EXPECT_TRUE(parsed->stream);
}

TEST(Responses, RefusesWhatWouldHaveToBeStoredOrCut) {
  EXPECT_EQ(responses_problem(R"("store":true)"), "store");
  EXPECT_EQ(responses_problem(R"("previous_response_id":"resp_1")"), "previous_response_id");
  EXPECT_EQ(responses_problem(R"("conversation":"c")"), "conversation");
  EXPECT_EQ(responses_problem(R"("background":true)"), "background");
  EXPECT_EQ(responses_problem(R"("truncation":"auto")"), "truncation");
  EXPECT_EQ(responses_problem(R"("tools":[{"type":"web_search"}])"), "tools");
  EXPECT_EQ(responses_problem(R"("text":{"format":{"type":"xml"}})"), "text.format.type");
  EXPECT_EQ(responses_problem(R"("text":{"format":{"type":"json_schema","name":"x"}})"),
            "text.format.schema");
  EXPECT_FALSE(parse_responses_request(R"({"model":"m","input":[]})", kBody));
  EXPECT_FALSE(parse_responses_request(
      R"({"model":"m","input":[{"type":"function_call_output","output":"x"}]})", kBody));
}

TEST(Responses, StreamsNumberedEventsInOrder) {
  TextRequest request;
  auto dialect = make_responses_dialect(request, "1", 1700000000);
  std::string text = dialect->begin({"acme/echo", 3, 0});
  text += dialect->delta(0, "a");
  text += dialect->delta(0, "b");
  text += dialect->ended(0, TextEnd{});
  text += dialect->end(TextTotals{});
  std::vector<std::string> names;
  std::int64_t number = 0;
  for (std::size_t at = text.find("data: "); at != std::string::npos;
       at = text.find("data: ", at + 1)) {
    const Json event = *Json::parse(text.substr(at + 6, text.find('\n', at) - at - 6));
    names.push_back(event.get_string("type").value_or(""));
    EXPECT_EQ(event.get_int("sequence_number").value_or(-1), number++);
    if (names.back() == "response.output_text.done") {
      EXPECT_EQ(event.get_string("text").value_or(""), "ab");
    }
  }
  EXPECT_THAT(names,
              ElementsAre("response.created",
                          "response.in_progress",
                          "response.output_item.added",
                          "response.content_part.added",
                          "response.output_text.delta",
                          "response.output_text.delta",
                          "response.output_text.done",
                          "response.content_part.done",
                          "response.output_item.done",
                          "response.completed"));
}

TEST(Responses, AnAnswerThatWasCutIsIncomplete) {
  TextEnd cut;
  cut.length = true;
  auto dialect = make_responses_dialect(TextRequest{}, "1", 1700000000);
  const Json body =
      *Json::parse(dialect->whole({"acme/echo", 3, 0}, {TextChoice{"x", cut}}, TextTotals{}));
  EXPECT_EQ(body.get_string("status").value_or(""), "incomplete");
  EXPECT_EQ(body.find("incomplete_details")->get_string("reason").value_or(""),
            "max_output_tokens");
  EXPECT_FALSE(body.get_bool("store").value_or(true));
}

}  // namespace
}  // namespace skerry::agent::openai
