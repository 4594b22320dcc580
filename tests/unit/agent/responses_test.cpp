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
  EXPECT_EQ(responses_problem(R"("tools":[{"type":"web_search"}])"), "tools[0].type");
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

TEST(Responses, TellsWhatWasAskedFor) {
  struct Row {
    const char* asked;
    const char* parallel;
    const char* choice;
    const char* tools;
  };
  const std::string tools =
      R"("tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},{"type":"function","name":"g"}])";
  const std::string told =
      R"([{"description":"d","name":"f","parameters":{"type":"object"},"strict":true,"type":"function"},)"
      R"({"description":null,"name":"g","parameters":null,"strict":false,"type":"function"}])";
  const Row rows[] = {
      {"", "true", R"("auto")", "[]"},
      {"T", "true", R"("auto")", "T"},
      {R"(T,"tool_choice":"none")", "true", R"("none")", "T"},
      {R"(T,"tool_choice":"required","parallel_tool_calls":false)", "false", R"("required")", "T"},
      {R"(T,"tool_choice":{"type":"function","name":"g"})",
       "true",
       R"({"name":"g","type":"function"})",
       "T"},
  };
  for (const Row& row : rows) {
    std::string asked = row.asked;
    if (!asked.empty()) {
      asked = "," + tools + asked.substr(1);
    }
    Result<TextRequest> parsed = parse_responses_request(
        R"({"model":"m","input":"x","temperature":0.5,"top_p":0.25,"max_output_tokens":9)" + asked +
            "}",
        kBody);
    ASSERT_TRUE(parsed) << asked << parsed.error().to_string();
    auto dialect = make_responses_dialect(*parsed, "1", 1700000000);
    const Json body =
        *Json::parse(dialect->whole({"acme/echo", 3, 0}, {TextChoice{"x", {}}}, TextTotals{}));
    EXPECT_EQ(body.find("parallel_tool_calls")->dump(), row.parallel) << asked;
    EXPECT_EQ(body.find("tool_choice")->dump(), row.choice) << asked;
    EXPECT_EQ(body.find("tools")->dump(), row.tools == std::string{"T"} ? told : row.tools);
    EXPECT_EQ(body.find("max_output_tokens")->dump(), "9");
    EXPECT_EQ(body.find("temperature")->as_number().value_or(0), 0.5);
    EXPECT_EQ(body.find("top_p")->as_number().value_or(0), 0.25);
  }
}

}  // namespace
}  // namespace skerry::agent::openai
