#include "skerry/agent/ollama.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::ollama {
namespace {

using ::testing::ElementsAre;

constexpr std::size_t kBody = 1U << 20U;
constexpr WallTime kNow{std::chrono::seconds{1700000000}};

std::string generate_problem(const std::string& more) {
  Result<OllamaText> parsed = parse_generate(R"({"model":"m","prompt":"x",)" + more + "}", kBody);
  EXPECT_FALSE(parsed) << more;
  return parsed ? "" : openai::param_of(parsed.error());
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);) {
    Result<Json> json = Json::parse(line);
    EXPECT_TRUE(json) << line;
    lines.push_back(json ? *json : Json{});
  }
  return lines;
}

TEST(OllamaRequest, GenerateHasOllamasDefaultsAndStreams) {
  Result<OllamaText> parsed =
      parse_generate(R"({"model":"acme/echo:latest","prompt":"hi","system":"be brief"})", kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->text.model, "acme/echo");
  EXPECT_THAT(std::get<std::vector<ChatMessage>>(parsed->text.prompts.front()),
              ElementsAre(ChatMessage{"system", "be brief"}, ChatMessage{"user", "hi"}));
  EXPECT_TRUE(parsed->text.stream);
  EXPECT_FALSE(parsed->empty);
  EXPECT_FALSE(parsed->unload);
  EXPECT_EQ(parsed->text.max_tokens, 0U);
  EXPECT_EQ(parsed->text.sampling.temperature, 0.8);
  EXPECT_EQ(parsed->text.sampling.top_k, 40U);
}

TEST(OllamaRequest, ReadsOptionsAndRawPrompts) {
  Result<OllamaText> parsed = parse_generate(
      R"({"model":"m","prompt":"hi","raw":true,"stream":false,"keep_alive":"0s","options":{"temperature":0,)"
      R"("num_predict":7,"top_k":0,"repeat_penalty":1,"repeat_last_n":9,"seed":4,"stop":["a"],"num_ctx":4096,"num_thread":8}})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(std::get<std::string>(parsed->text.prompts.front()), "hi");
  EXPECT_FALSE(parsed->text.stream);
  EXPECT_TRUE(parsed->unload);
  EXPECT_EQ(parsed->text.max_tokens, 7U);
  EXPECT_EQ(parsed->text.sampling.top_k, 0U);
  EXPECT_EQ(parsed->text.sampling.repeat_last, 9U);
  EXPECT_EQ(parsed->text.sampling.seed, 4U);
  EXPECT_THAT(parsed->text.stop, ElementsAre("a"));
}

TEST(OllamaRequest, KeepAliveIsADurationOrSeconds) {
  const auto unload = [](const std::string& value) {
    Result<OllamaText> parsed =
        parse_generate(R"({"model":"m","prompt":"x","keep_alive":)" + value + "}", kBody);
    EXPECT_TRUE(parsed) << value;
    return parsed && parsed->unload;
  };
  EXPECT_TRUE(unload("0"));
  EXPECT_TRUE(unload(R"("0")"));
  EXPECT_TRUE(unload(R"("0m")"));
  for (const char* kept : {"-1", "300", R"("5m")", R"("1h30m")", R"("-1m")", R"("250ms")"}) {
    EXPECT_FALSE(unload(kept)) << kept;
  }
  for (const char* bad : {R"("soon")", R"("5 m")", R"("")", R"("5d")", "true", "[]"}) {
    EXPECT_EQ(generate_problem(R"("keep_alive":)" + std::string{bad}), "keep_alive");
  }
}

TEST(OllamaRequest, NamesWhatIsWrongOrNotOffered) {
  EXPECT_EQ(generate_problem(R"("format":"xml")"), "format");
  EXPECT_EQ(generate_problem(R"("format":{"type":"thing"})"), "format");
  EXPECT_EQ(generate_problem(R"("top_logprobs":1)"), "top_logprobs");
  EXPECT_EQ(generate_problem(R"("images":["x"])"), "images");
  EXPECT_EQ(generate_problem(R"("suffix":"x")"), "suffix");
  EXPECT_EQ(generate_problem(R"("template":"x")"), "template");
  EXPECT_EQ(generate_problem(R"("context":[1])"), "context");
  EXPECT_EQ(generate_problem(R"("think":3)"), "think");
  EXPECT_EQ(generate_problem(R"("options":{"mirostat":1})"), "options.mirostat");
  EXPECT_EQ(generate_problem(R"("options":{"num_predict":-3})"), "num_predict");
  EXPECT_EQ(generate_problem(R"("options":3)"), "options");
  EXPECT_EQ(generate_problem(R"("raw":true,"system":"x")"), "system");
  EXPECT_TRUE(parse_generate(
      R"({"model":"m","prompt":"x","format":"","images":[],"think":false,"context":[]})", kBody));
  Result<OllamaText> tool = parse_chat(
      R"({"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[{}]}]})", kBody);
  ASSERT_FALSE(tool);
  EXPECT_EQ(openai::param_of(tool.error()), "messages[0].tool_calls[0].function.name");
}

TEST(OllamaRequest, FormatIsJsonOrASchema) {
  const auto grammar = [](const std::string& format) {
    return parse_generate(R"({"model":"m","prompt":"x","logprobs":true,"format":)" + format + "}",
                          kBody)
        ->text.grammar;
  };
  EXPECT_EQ(grammar("\"\""), "");
  EXPECT_TRUE(grammar("\"json\"").starts_with("root ::= object"));
  EXPECT_NE(grammar(R"({"type":"string","enum":["yes"]})").find("yes"), std::string::npos);
  EXPECT_EQ(
      parse_generate(R"({"model":"m","prompt":"x","format":"json"})", kBody)->text.response_format,
      R"({"type":"json_object"})");
}

TEST(OllamaRequest, NoPromptAndNoMessagesMeanLoad) {
  EXPECT_TRUE(parse_generate(R"({"model":"m"})", kBody)->empty);
  EXPECT_TRUE(parse_chat(R"({"model":"m","messages":[]})", kBody)->empty);
  EXPECT_TRUE(parse_chat(R"({"model":"m"})", kBody)->empty);
  EXPECT_FALSE(
      parse_chat(R"({"model":"m","messages":[{"role":"user","content":"x"}]})", kBody)->empty);
}

TEST(OllamaRequest, EmbedTakesOneOrManyAndTheOlderCallOne) {
  EXPECT_THAT(parse_embed(R"({"model":"m","input":"a"})", kBody, false)->inputs, ElementsAre("a"));
  EXPECT_THAT(
      parse_embed(R"({"model":"m","input":["a","b"],"truncate":true})", kBody, false)->inputs,
      ElementsAre("a", "b"));
  EXPECT_THAT(parse_embed(R"({"model":"m","prompt":"a"})", kBody, true)->inputs, ElementsAre("a"));
  EXPECT_FALSE(parse_embed(R"({"model":"m","prompt":["a"]})", kBody, true));
  EXPECT_FALSE(parse_embed(R"({"model":"m","input":[]})", kBody, false));
  EXPECT_FALSE(parse_embed(R"({"model":"m","input":[3]})", kBody, false));
  EXPECT_FALSE(parse_embed(R"({"model":"m","input":"a","dimensions":3})", kBody, false));
}

TEST(OllamaRequest, NamesComeAsModelOrName) {
  EXPECT_EQ(parse_name(R"({"name":"acme/echo:latest"})", kBody)->model, "acme/echo");
  EXPECT_EQ(parse_name(R"({"model":"acme/echo:1.0.0","stream":false})", kBody)->stream, false);
  EXPECT_FALSE(parse_name("{}", kBody));
}

TEST(OllamaResponse, LinesEndWithDoneAndDurations) {
  auto dialect = make_chat_dialect(kNow);
  std::string text = dialect->begin({"acme/echo", 3, 0});
  text += dialect->delta(0, "a\nb");
  TextEnd cut;
  cut.length = true;
  text += dialect->ended(0, cut);
  TextTotals totals;
  totals.prompt_tokens = 3;
  totals.completion_tokens = 2;
  totals.total = std::chrono::nanoseconds{12345};
  text += dialect->end(totals);
  const std::vector<Json> lines = lines_of(text);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].find("message")->get_string("content").value_or(""), "a\nb");
  EXPECT_FALSE(lines[0].get_bool("done").value_or(true));
  EXPECT_TRUE(lines[1].get_bool("done").value_or(false));
  EXPECT_EQ(lines[1].get_string("done_reason").value_or(""), "length");
  EXPECT_EQ(lines[1].get_int("total_duration").value_or(0), 12345);
  EXPECT_EQ(lines[1].get_int("eval_count").value_or(0), 2);
  EXPECT_NE(lines_of(dialect->failed(Error{Error::Code::kWorkerLost, "gone"}))[0].find("error"),
            nullptr);
}

TEST(OllamaResponse, WholeAnswersAndListings) {
  auto dialect = make_generate_dialect(kNow);
  const Json whole =
      *Json::parse(dialect->whole({"acme/echo", 3, 0}, {TextChoice{"hello", {}}}, TextTotals{}));
  EXPECT_EQ(whole.get_string("response").value_or(""), "hello");
  EXPECT_EQ(whole.get_string("done_reason").value_or(""), "stop");
  OllamaModel model;
  model.name = "acme/echo:1.0.0";
  model.digest = "sha256:abc";
  model.modified = kNow;
  const Json tags = *Json::parse(tags_body({model}));
  const Json& entry = (*tags.find("models")->array())[0];
  EXPECT_EQ(entry.get_string("digest").value_or(""), "abc");
  EXPECT_EQ(entry.get_string("modified_at").value_or("").substr(0, 10), "2023-11-14");
  EXPECT_TRUE(Json::parse(ps_body({model})));
  EXPECT_TRUE(Json::parse(show_body(model)));
  const Json progress = lines_of(progress_line("FETCHING", "sha256:abc", 10, 4)).at(0);
  EXPECT_EQ(progress.get_int("completed").value_or(0), 4);
  EXPECT_EQ(lines_of(progress_line("success", "", 0, 0)).at(0).find("total"), nullptr);
}

}  // namespace
}  // namespace skerry::agent::ollama
