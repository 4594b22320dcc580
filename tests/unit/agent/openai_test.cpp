#include "skerry/agent/openai.hpp"

#include <limits>

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

std::vector<ChatMessage> messages_of(const OpenAiText& request) {
  return std::get<std::vector<ChatMessage>>(request.text.prompts.front());
}

std::string param_of_problem(std::string_view body) {
  Result<OpenAiText> parsed = parse_chat_request(body, kBody);
  EXPECT_FALSE(parsed) << body;
  return parsed ? "" : param_of(parsed.error());
}

TEST(OpenAiRequest, ReadsWhatClientsSend) {
  Result<OpenAiText> parsed = parse_chat_request(
      request(
          R"(,"temperature":0,"top_p":0.5,"frequency_penalty":-2,"presence_penalty":0.5,"seed":-3,"max_completion_tokens":9,"stop":["a","b"],)"
          R"("stream":true,"stream_options":{"include_usage":true},"user":"x","n":1,"tools":[])"),
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->text.model, "default");
  EXPECT_THAT(messages_of(*parsed), testing::ElementsAre(ChatMessage{"user", "hi"}));
  EXPECT_EQ(parsed->text.sampling.temperature, 0.0);
  EXPECT_EQ(parsed->text.sampling.frequency_penalty, -2.0);
  EXPECT_EQ(parsed->text.sampling.presence_penalty, 0.5);
  EXPECT_EQ(parsed->text.max_tokens, 9U);
  EXPECT_TRUE(parsed->text.sampling.seed.has_value());
  EXPECT_THAT(parsed->text.stop, testing::ElementsAre("a", "b"));
  EXPECT_TRUE(parsed->text.stream);
  EXPECT_TRUE(parsed->include_usage);
}

TEST(OpenAiRequest, JoinsTextPartsAndReadsDeveloperAsSystem) {
  Result<OpenAiText> parsed = parse_chat_request(
      R"({"model":"m","messages":[{"role":"developer","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"b"}]}],"stop":"x"})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_THAT(messages_of(*parsed), testing::ElementsAre(ChatMessage{"system", "ab"}));
  EXPECT_THAT(parsed->text.stop, testing::ElementsAre("x"));
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
  EXPECT_EQ(param_of_problem(request(R"(,"n":17)")), "n");
  EXPECT_EQ(param_of_problem(request(R"(,"logprobs":3)")), "logprobs");
  EXPECT_EQ(param_of_problem(request(R"(,"logprobs":true,"top_logprobs":21)")), "top_logprobs");
  EXPECT_EQ(param_of_problem(request(R"(,"top_logprobs":2)")), "top_logprobs");
  EXPECT_EQ(param_of_problem(request(R"(,"stop":[""])")), "stop");
  EXPECT_EQ(param_of_problem(request(R"(,"stream":"yes")")), "stream");
  EXPECT_EQ(param_of_problem(request(R"(,"tools":[{"type":"function"}])")), "tools[0].function");
  EXPECT_EQ(param_of_problem(request(R"(,"response_format":{"type":"xml"})")),
            "response_format.type");
  EXPECT_EQ(param_of_problem(request(R"(,"response_format":{"type":"json_schema"})")),
            "response_format.json_schema.schema");
  EXPECT_EQ(param_of_problem(request(
                R"(,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":)"
                R"({"type":"object","properties":{"a":{"type":"string","pattern":"x"}}}}})")),
            "response_format.json_schema.schema.properties.a");
}

TEST(OpenAiRequest, FormatsBecomeGrammarsInTheOrderOfTheSchema) {
  EXPECT_EQ(
      parse_chat_request(request(R"(,"response_format":{"type":"text"})"), kBody)->text.grammar,
      "");
  EXPECT_THAT(parse_chat_request(request(R"(,"response_format":{"type":"json_object"})"), kBody)
                  ->text.grammar,
              testing::StartsWith("root ::= object"));
  Result<OpenAiText> parsed = parse_chat_request(
      request(R"(,"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,)"
              R"("schema":{"type":"object","properties":{"zeta":{"type":"null"},)"
              R"("alpha":{"type":"null"}},"required":["zeta","alpha"]}}})"),
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const std::string& grammar = parsed->text.grammar;
  ASSERT_NE(grammar.find("alpha"), std::string::npos);
  EXPECT_LT(grammar.find("zeta"), grammar.find("alpha"));
  // For a server that takes no grammar, in the same order.
  EXPECT_EQ(parsed->text.response_format,
            R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":)"
            R"({"type":"object","properties":{"zeta":{"type":"null"},"alpha":{"type":"null"}},)"
            R"("required":["zeta","alpha"]}}})");
}

TEST(OpenAiRequest, RefusesWhatIsNoJsonObject) {
  for (const char* body : {"", "[", "[]", "3", "{\"model\":\"m\",\"model\":\"m\"}", "\xff"}) {
    Result<OpenAiText> parsed = parse_chat_request(body, kBody);
    ASSERT_FALSE(parsed) << body;
    EXPECT_EQ(http_error(parsed.error().code()).status, 400) << parsed.error().to_string();
  }
  const std::string deep(1000, '[');
  EXPECT_FALSE(parse_chat_request(deep, kBody));
  Result<OpenAiText> large = parse_chat_request(request(""), 10);
  ASSERT_FALSE(large);
  EXPECT_EQ(http_error(large.error().code()).status, 413);
}

Result<Json> data_of(const std::string& event) {
  EXPECT_TRUE(event.starts_with("data: "));
  EXPECT_TRUE(event.ends_with("\n\n"));
  return Json::parse(event.substr(6, event.size() - 8));
}

std::vector<Json> events_of(const std::string& text) {
  std::vector<Json> events;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\n\n", at);
    EXPECT_NE(end, std::string::npos);
    Result<Json> json = data_of(text.substr(at, end + 2 - at));
    events.push_back(json ? *json : Json{});
    at = end + 2;
  }
  return events;
}

const Json& choice_of(const Json& event) {
  return (*event.find("choices")->array())[0];
}

TEST(OpenAiResponse, StreamGivesRoleFirstFinishAndUsageLast) {
  OpenAiText request;
  request.include_usage = true;
  auto dialect = make_chat_dialect(request, Answer{"chatcmpl-1", "", 1700000000});
  const std::vector<Json> begun = events_of(dialect->begin({"acme/log-triage", 3, 1}));
  ASSERT_EQ(begun.size(), 1U);
  EXPECT_EQ(begun[0].get_string("model").value_or(""), "acme/log-triage");
  EXPECT_EQ(choice_of(begun[0]).find("delta")->get_string("role").value_or(""), "assistant");
  EXPECT_TRUE(choice_of(begun[0]).find("finish_reason")->is_null());
  ASSERT_NE(begun[0].find("usage"), nullptr);
  EXPECT_TRUE(begun[0].find("usage")->is_null());

  const std::vector<Json> finish = events_of(dialect->ended(0, TextEnd{}));
  EXPECT_EQ(choice_of(finish.at(0)).get_string("finish_reason").value_or(""), "stop");

  TextTotals totals;
  totals.prompt_tokens = 3;
  totals.completion_tokens = 4;
  totals.cached_tokens = 1;
  const std::string last = dialect->end(totals);
  const std::string done = "data: [DONE]\n\n";
  ASSERT_TRUE(last.ends_with(done));
  const std::vector<Json> usage = events_of(last.substr(0, last.size() - done.size()));
  EXPECT_TRUE(usage.at(0).find("choices")->array()->empty());
  EXPECT_EQ(usage.at(0).find("usage")->get_int("total_tokens").value_or(0), 7);
}

TEST(OpenAiResponse, EveryAnswerHasItsOwnRoleIndexAndFinish) {
  Result<OpenAiText> parsed = parse_chat_request(request(R"(,"n":2)"), kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->text.answers, 2U);
  auto dialect = make_chat_dialect(*parsed, Answer{});
  EXPECT_EQ(events_of(dialect->begin({"m", 1, 0})).size(), 2U);
  EXPECT_EQ(choice_of(events_of(dialect->delta(1, "x")).at(0)).get_int("index").value_or(-1), 1);
  TextEnd cut;
  cut.length = true;
  const Json body = *Json::parse(
      dialect->whole({"m", 1, 0}, {TextChoice{"a", {}}, TextChoice{"b", cut}}, TextTotals{}));
  const Json::Array& choices = *body.find("choices")->array();
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_EQ(choices[0].find("message")->get_string("content").value_or(""), "a");
  EXPECT_EQ(choices[1].get_string("finish_reason").value_or(""), "length");
}

TEST(OpenAiResponse, TextIsEscapedIntoOneLine) {
  auto dialect = make_chat_dialect(OpenAiText{}, Answer{"i", "m", 0});
  const std::string event = dialect->delta(0, "a\n\"b\"\u2028");
  EXPECT_EQ(event.find('\n'), event.size() - 2);
  EXPECT_EQ(choice_of(events_of(event).at(0)).find("delta")->get_string("content").value_or(""),
            "a\n\"b\"\u2028");
}

TEST(OpenAiCompletion, ReadsEveryFormOfPrompt) {
  const auto prompts = [](const std::string& prompt) {
    Result<OpenAiText> parsed =
        parse_completion_request(R"({"model":"m","prompt":)" + prompt + "}", kBody);
    EXPECT_TRUE(parsed) << prompt;
    return parsed ? parsed->text.prompts : std::vector<TextPrompt>{};
  };
  const std::vector<std::int32_t> tokens{1, 2};
  EXPECT_THAT(prompts(R"("a")"), testing::ElementsAre(TextPrompt{"a"}));
  EXPECT_THAT(prompts(R"(["a","b"])"), testing::ElementsAre(TextPrompt{"a"}, TextPrompt{"b"}));
  EXPECT_THAT(prompts("[1,2]"), testing::ElementsAre(TextPrompt{tokens}));
  EXPECT_THAT(prompts("[[1,2],[1,2]]"),
              testing::ElementsAre(TextPrompt{tokens}, TextPrompt{tokens}));
}

TEST(OpenAiCompletion, DefaultsToSixteenTokensAndNamesWhatIsWrong) {
  Result<OpenAiText> parsed = parse_completion_request(R"({"model":"m","prompt":"a"})", kBody);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->text.max_tokens, 16U);
  const auto param = [](const std::string& more) {
    Result<OpenAiText> bad = parse_completion_request(R"({"model":"m",)" + more + "}", kBody);
    return bad ? "" : param_of(bad.error());
  };
  EXPECT_EQ(param(R"("x":1)"), "prompt");
  EXPECT_EQ(param(R"("prompt":[])"), "prompt");
  EXPECT_EQ(param(R"("prompt":[[-1]])"), "prompt[0]");
  EXPECT_EQ(param(R"("prompt":[1.5])"), "prompt");
  EXPECT_EQ(param(R"("prompt":"a","logprobs":6)"), "logprobs");
  EXPECT_EQ(param(R"("prompt":"a","logprobs":1,"echo":true)"), "logprobs");
  EXPECT_EQ(param(R"("prompt":"a","suffix":"b")"), "suffix");
  EXPECT_EQ(param(R"("prompt":"a","best_of":3)"), "best_of");
  EXPECT_EQ(param(R"("prompt":[1],"echo":true)"), "echo");
  EXPECT_EQ(param(R"("prompt":["a","b","c"],"n":6)"), "n");
}

TEST(OpenAiCompletion, EchoPutsEachPromptBeforeItsAnswers) {
  Result<OpenAiText> parsed = parse_completion_request(
      R"({"model":"m","prompt":["a","b"],"n":2,"echo":true,"best_of":2})", kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  auto dialect = make_completion_dialect(*parsed, Answer{});
  const Json body = *Json::parse(
      dialect->whole({"m", 1, 0}, {{"1", {}}, {"2", {}}, {"3", {}}, {"4", {}}}, TextTotals{}));
  EXPECT_EQ(body.get_string("object").value_or(""), "text_completion");
  const Json::Array& choices = *body.find("choices")->array();
  EXPECT_EQ(choices[1].get_string("text").value_or(""), "a2");
  EXPECT_EQ(choices[2].get_string("text").value_or(""), "b3");
  const std::vector<Json> begun = events_of(dialect->begin({"m", 1, 0}));
  ASSERT_EQ(begun.size(), 4U);
  EXPECT_EQ(choice_of(begun[3]).get_string("text").value_or(""), "b");
}

std::vector<TextLogProb> two_tokens() {
  TextLogProb first;
  first.chosen = {"Hé", -0.25};
  first.top = {{"Hé", -0.25}, {"\xe2\x82", -std::numeric_limits<double>::infinity()}};
  TextLogProb second;
  second.chosen = {"!", -1.5};
  return {first, second};
}

TEST(OpenAiLogProbs, ChatWritesTokensTheirBytesAndTheMostProbable) {
  Result<OpenAiText> parsed =
      parse_chat_request(request(R"(,"logprobs":true,"top_logprobs":2)"), kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->text.log_probs, 2U);
  auto dialect = make_chat_dialect(*parsed, Answer{});
  const Json body =
      *Json::parse(dialect->whole({"m", 1, 0}, {{"Hé!", {}, two_tokens()}}, TextTotals{}));
  const Json::Array& content = *choice_of(body).find("logprobs")->find("content")->array();
  ASSERT_EQ(content.size(), 2U);
  EXPECT_EQ(content[0].get_string("token").value_or(""), "Hé");
  EXPECT_EQ(content[0].get_number("logprob").value_or(0), -0.25);
  EXPECT_EQ(content[0].find("bytes")->dump(), "[72,195,169]");
  const Json::Array& top = *content[0].find("top_logprobs")->array();
  ASSERT_EQ(top.size(), 2U);
  EXPECT_EQ(top[1].get_string("token").value_or(""), "bytes:\\xe2\\x82");
  EXPECT_EQ(top[1].get_number("logprob").value_or(0), -9999);
  const std::vector<Json> streamed = events_of(dialect->delta_with(0, "Hé!", two_tokens()));
  EXPECT_EQ(*choice_of(streamed[0]).find("logprobs"), *choice_of(body).find("logprobs"));
  EXPECT_TRUE(choice_of(events_of(dialect->delta(0, "x"))[0]).find("logprobs")->is_null());
}

TEST(OpenAiLogProbs, CompletionsCountTheOffsetsOfTokens) {
  Result<OpenAiText> parsed =
      parse_completion_request(R"({"model":"m","prompt":"a","logprobs":1})", kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->text.log_probs, 1U);
  auto dialect = make_completion_dialect(*parsed, Answer{});
  const Json body =
      *Json::parse(dialect->whole({"m", 1, 0}, {{"Hé!", {}, two_tokens()}}, TextTotals{}));
  const Json& told = *choice_of(body).find("logprobs");
  EXPECT_EQ(told.find("tokens")->dump(), R"(["Hé","!"])");
  EXPECT_EQ(told.find("token_logprobs")->dump(), "[-2.5E-1,-1.5E0]");
  EXPECT_EQ(told.find("text_offset")->dump(), "[0,2]");
  dialect->delta_with(0, "Hé!", two_tokens());
  const std::vector<Json> later = events_of(dialect->delta_with(0, "Hé!", two_tokens()));
  EXPECT_EQ(choice_of(later[0]).find("logprobs")->find("text_offset")->dump(), "[3,5]");
}

TEST(OpenAiEmbeddings, ReadsTextsTokensAndFormat) {
  Result<EmbeddingsRequest> parsed = parse_embeddings_request(
      R"({"model":"m","input":["a",[1,2]],"encoding_format":"base64","dimensions":8})", kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_THAT(parsed->inputs,
              testing::ElementsAre(EmbedInput{"a"}, EmbedInput{std::vector<std::int32_t>{1, 2}}));
  EXPECT_TRUE(parsed->base64);
  EXPECT_EQ(parsed->dimensions, 8U);
  for (const char* bad : {R"({"model":"m"})",
                          R"({"model":"m","input":[]})",
                          R"({"model":"m","input":{}})",
                          R"({"model":"m","input":"a","encoding_format":"hex"})",
                          R"({"model":"m","input":"a","dimensions":0})"}) {
    EXPECT_FALSE(parse_embeddings_request(bad, kBody)) << bad;
  }
}

TEST(OpenAiEmbeddings, WritesNumbersShortAndBase64LittleEndian) {
  EXPECT_EQ(float_list({0.1F, -1.0F, 1e-20F}), "[0.1,-1,1e-20]");
  const Json numbers =
      *Json::parse(embeddings_body("acme/e", {{0.5F, 2.0F}, {1.0F, 0.0F}}, false, 9));
  EXPECT_EQ(numbers.find("usage")->get_int("total_tokens").value_or(0), 9);
  const Json::Array& data = *numbers.find("data")->array();
  ASSERT_EQ(data.size(), 2U);
  EXPECT_EQ(data[1].get_int("index").value_or(-1), 1);
  EXPECT_EQ(data[0].find("embedding")->array()->size(), 2U);
  const Json coded = *Json::parse(embeddings_body("acme/e", {{1.0F}}, true, 1));
  // 00 00 80 3f
  EXPECT_EQ((*coded.find("data")->array())[0].get_string("embedding").value_or(""), "AACAPw==");
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
  EXPECT_EQ(http_error(Error::Code::kQuarantined).status, 422);
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
