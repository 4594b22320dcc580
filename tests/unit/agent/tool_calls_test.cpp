// Calls of tools: grammars that hold models to them, and answers read piece by piece.
#include "skerry/agent/tool_calls.hpp"

#include <gtest/gtest.h>

#include "skerry/agent/anthropic.hpp"
#include "skerry/agent/chat_reader.hpp"
#include "skerry/agent/offered_calls.hpp"
#include "skerry/agent/ollama.hpp"
#include "skerry/agent/openai.hpp"
#include "skerry/agent/openai_responses.hpp"
#include "skerry/common/json.hpp"
#include "skerry/runtime/grammar.hpp"

#include "grammar_fits.hpp"

namespace skerry::agent {
namespace {

using runtime::Grammar;

constexpr std::size_t kBody = 1U << 20U;
constexpr const char* kCity =
    R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"],"additionalProperties":false})";

ToolUse two_tools(ToolChoice choice = ToolChoice::kAuto) {
  ToolUse use;
  use.tools = {{"get_weather", "Tells the weather", kCity, false}, {"reboot", "", "", false}};
  use.choice = choice;
  return use;
}

// Whether the grammar takes the text, and may end there.
bool fits(const std::string& grammar, std::string_view text) {
  auto parsed = Grammar::parse(grammar);
  EXPECT_TRUE(parsed) << grammar << (parsed ? "" : parsed.error().message());
  if (!parsed) {
    return false;
  }
  return test::fits(*parsed, text);
}

ToolGrammar grammar_of(const ToolUse& use, std::string_view syntax) {
  auto made = tool_grammar(use, *call_syntax(syntax));
  EXPECT_TRUE(made) << (made ? "" : made.error().message());
  return made ? *std::move(made) : ToolGrammar{};
}

TEST(ToolGrammarTest, WaitsForTheMarkUnlessACallIsForced) {
  const ToolGrammar waits = grammar_of(two_tools(), "hermes");
  EXPECT_EQ(waits.triggers, std::vector<std::string>{"<tool_call>"});
  EXPECT_EQ(waits.answer_begins, "");
  const ToolGrammar forced = grammar_of(two_tools(ToolChoice::kRequired), "hermes");
  EXPECT_TRUE(forced.triggers.empty());
  EXPECT_EQ(forced.answer_begins, "<tool_call>");
  const ToolGrammar bare = grammar_of(two_tools(), "llama");
  EXPECT_TRUE(bare.triggers.empty());
  EXPECT_EQ(bare.starts.at(0), "{\"name\"");
  for (const std::string& start : bare.starts) {
    EXPECT_TRUE(fits(bare.grammar, start + ": \"reboot\", \"parameters\": {}}")) << start;
  }
}

TEST(ToolGrammarTest, TakesCallsAsEachFamilyWritesThem) {
  struct Row {
    const char* syntax;
    const char* text;
    bool expected;
  };
  const Row rows[] = {
      {"hermes",
       "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>",
       true},
      {"hermes",
       "<tool_call>{\"name\":\"reboot\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":"
       "\"get_weather\",\"arguments\":{\"city\":\"a\",\"days\":2}}</tool_call>",
       true},
      {"hermes", "<tool_call>{\"name\":\"get_weather\",\"arguments\":{}}</tool_call>", false},
      {"hermes", "<tool_call>{\"name\":\"other\",\"arguments\":{}}</tool_call>", false},
      {"hermes",
       "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":1}}</tool_call>",
       false},
      {"hermes", "<tool_call>{\"name\":\"reboot\",\"arguments\":{\"x\":[1]}}</tool_call>", true},
      {"hermes", "{\"name\":\"reboot\",\"arguments\":{}}</tool_call>", false},
      {"llama", "{\"name\": \"reboot\", \"parameters\": {}}", true},
      {"llama", "{\"name\": \"reboot\", \"arguments\": {}}", false},
      {"mistral",
       "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"a\"}, \"id\": "
       "\"abc123def\"}, {\"name\": \"reboot\", \"arguments\": {}}]",
       true},
      {"mistral", "[TOOL_CALLS] []", false},
      {"list", "<|tool_call|>[{\"name\": \"reboot\", \"arguments\": {}}]", true},
      {"deepseek",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>reboot\n```json\n{}\n```<"
       "｜"
       "tool▁call▁end｜><｜tool▁calls▁end｜>",
       true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(fits(grammar_of(two_tools(), row.syntax).grammar, row.text), row.expected)
        << row.text;
  }
}

TEST(ToolGrammarTest, HoldsToWhatWasChosen) {
  const std::string weather =
      "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>";
  const std::string reboot = "\n{\"name\": \"reboot\", \"arguments\": {}}\n</tool_call>";
  ToolUse use = two_tools(ToolChoice::kNamed);
  use.named = "reboot";
  const std::string named = grammar_of(use, "hermes").grammar;
  EXPECT_TRUE(fits(named, reboot));
  EXPECT_FALSE(fits(named, weather));
  EXPECT_FALSE(fits(named, reboot + "<tool_call>" + reboot));
  use = two_tools(ToolChoice::kRequired);
  EXPECT_TRUE(fits(grammar_of(use, "hermes").grammar, reboot + "\n<tool_call>" + weather));
  use.parallel = false;
  EXPECT_FALSE(fits(grammar_of(use, "hermes").grammar, reboot + "\n<tool_call>" + weather));
  EXPECT_TRUE(fits(grammar_of(use, "hermes").grammar, weather));
}

TEST(ToolGrammarTest, ASchemaThatCannotBeKeptIsRefusedWhereToolsAreStrict) {
  ToolUse use;
  use.tools = {
      {"f", "", R"({"type":"object","properties":{"a":{"type":"string","pattern":"x"}}})", false}};
  EXPECT_TRUE(fits(grammar_of(use, "llama").grammar, "{\"name\":\"f\",\"parameters\":{\"b\":1}}"));
  use.tools[0].strict = true;
  const auto refused = tool_grammar(use, *call_syntax("llama"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(openai::param_of(refused.error()), "tools.f.parameters.properties.a");
}

TEST(ToolGrammarTest, SchemasAreBoundedTogether) {
  std::string schema = R"({"type":"object","properties":{)";
  for (int i = 0; schema.size() < 90'000; ++i) {
    schema +=
        (i == 0 ? "" : ",") + ("\"p" + std::to_string(i)) + R"(":{"type":"string","pattern":"x"})";
  }
  schema += "}}";
  ToolUse use;
  for (const char* name : {"f", "g", "h"}) {
    use.tools.push_back({name, "", schema, false});
  }
  const auto refused = tool_grammar(use, *call_syntax("hermes"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(openai::param_of(refused.error()), "tools");
  // One that is named is the only one that counts.
  use.choice = ToolChoice::kNamed;
  use.named = "f";
  EXPECT_TRUE(tool_grammar(use, *call_syntax("hermes")));
}

TEST(ToolGrammarTest, TheTemplateGetsOpenAisObjectsInTheirOrder) {
  EXPECT_EQ(
      tools_text({{"f", "d", R"({"z":1,"a":2})", false}}),
      R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"z":1,"a":2}}}])");
  EXPECT_EQ(tools_text({}), "");
  const std::vector<ToolDefinition> strict{{"f", "", "", true}, {"g", "", "", false}};
  EXPECT_EQ(tools_text(strict).find("strict"), std::string::npos);
  const std::string with = tools_text(strict, true);
  ASSERT_NE(with.find(R"("strict":true)"), std::string::npos);
  EXPECT_EQ(with.find("strict"), with.rfind("strict")) << "of the strict one alone";
  EXPECT_TRUE(Json::parse(with));
}

// What a reader makes of an answer that comes in pieces of `size` bytes, as one line.
std::string read_in(std::size_t size, std::string_view answer, ChatReader::Options options) {
  int made = 0;
  options.names = {"f", "g"};
  options.make_id = [&made] { return "id" + std::to_string(made++); };
  ChatReader reader(std::move(options));
  std::vector<AnswerPart> parts;
  for (std::size_t at = 0; at < answer.size(); at += size) {
    for (AnswerPart& part : reader.push(answer.substr(at, size))) {
      parts.push_back(std::move(part));
    }
  }
  for (AnswerPart& part : reader.finish()) {
    parts.push_back(std::move(part));
  }
  std::string out;
  std::optional<AnswerPart::Kind> last;
  for (const AnswerPart& part : parts) {
    const bool goes_on = last == part.kind && part.kind != AnswerPart::Kind::kCall;
    last = part.kind;
    switch (part.kind) {
      case AnswerPart::Kind::kText:
        out += (goes_on ? "" : "|text:") + part.text;
        break;
      case AnswerPart::Kind::kReasoning:
        out += (goes_on ? "" : "|think:") + part.text;
        break;
      case AnswerPart::Kind::kCall:
        out += "|" + std::to_string(part.call) + "=" + part.id + ":" + part.name;
        break;
      case AnswerPart::Kind::kArguments:
        out += (goes_on ? "" : ":") + part.text;
        break;
    }
  }
  return out;
}

TEST(ChatReaderTest, ReadsTheSameHoweverTheAnswerIsCut) {
  struct Row {
    const char* syntax;
    bool thinks;
    bool thinking;
    bool called;
    const char* answer;
    const char* expected;
  };
  const Row rows[] = {
      {nullptr, true, false, false, "hello <b> there", "|text:hello <b> there"},
      {nullptr, true, false, false, "<think>\na < b\n</think>\n\nyes\n", "|think:a < b|text:yes\n"},
      {nullptr, true, true, false, "\nhm\n</think>\n\nyes", "|think:hm|text:yes"},
      {nullptr, true, true, false, "only thoughts", "|think:only thoughts"},
      {nullptr, true, false, false, "<think>\n\n</think>\n\nyes", "|text:yes"},
      {nullptr, true, false, false, "<thin", "|text:<thin"},
      {nullptr, true, false, false, " a", "|text: a"},
      {nullptr, false, false, false, "<think>x</think>", "|text:<think>x</think>"},
      {"hermes", false, false, false, "no call here <tool", "|text:no call here <tool"},
      {"hermes",
       true,
       false,
       false,
       "<think>\nuse it\n</think>\n\nOne moment.\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
       "{\"a\": \"}\\\"\", \"b\": [1, {}]}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", "
       "\"arguments\": {}}\n</tool_call>",
       "|think:use it|text:One moment.|0=id0:f:{\"a\": \"}\\\"\", \"b\": [1, {}]}|1=id1:g:{}"},
      {"hermes",
       false,
       false,
       true,
       "\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
       "|0=id0:f:{}"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"arguments\": {\"x\": 1}, \"name\": \"f\"}</tool_call>",
       "|0=id0:f:{\"x\": 1}"},
      {"hermes", false, false, false, "<tool_call>{\"name\": \"f\"}</tool_call>", "|0=id0:f:{}"},
      {"hermes", false, false, false, "<tool_call>not a call", "|text:<tool_call>not a call"},
      {"hermes", false, false, false, "ok <tool_call>", "|text:ok<tool_call>"},
      {"hermes", false, false, false, "<tool_call>{\"name\": 5}", "|text:<tool_call>{\"name\": 5}"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"cut",
       "|0=id0:f:{\"a\": \"cut"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> then <tool_call>{\"name\": "
       "\"g\", \"arguments\": {}}</tool_call> done <tool_call>x",
       "|0=id0:f:{}|text: then|1=id1:g:{}|text: done<tool_call>x"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"name\": \"f\", \"arguments\": {} x <tool_call>{\"name\": \"g\", "
       "\"arguments\": {}}</tool_call>",
       "|0=id0:f:{}|1=id1:g:{}"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
       "|text:<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"rm\"}</tool_call>",
       "|text:<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"rm\"}</tool_call>"},
      {"hermes",
       false,
       false,
       false,
       "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call><tool_call>{\"name\": \"rm\"}",
       "|0=id0:f:{}|text:<tool_call>{\"name\": \"rm\"}"},
      {"llama",
       false,
       false,
       false,
       "{\"name\": \"rm\", \"parameters\": {}}",
       "|text:{\"name\": \"rm\", \"parameters\": {}}"},
      {"mistral",
       false,
       false,
       false,
       "[TOOL_CALLS][{\"name\": \"rm\", \"arguments\": {}}]",
       "|text:[TOOL_CALLS][{\"name\": \"rm\", \"arguments\": {}}]"},
      {"deepseek",
       false,
       false,
       false,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>rm\n```json\n{}\n```",
       "|text:<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>rm\n```json\n{}\n``"
       "`"},
      {"list",
       false,
       false,
       false,
       "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}] done",
       "|0=id0:f:{}|text: done"},
      {"llama",
       false,
       false,
       false,
       "{\"name\": \"f\", \"parameters\": {\"a\": 1}}",
       "|0=id0:f:{\"a\": 1}"},
      {"llama", false, false, false, "{\"other\": 1}", "|text:{\"other\": 1}"},
      {"llama", false, false, false, "text {\"name\": \"f\"}", "|text:text {\"name\": \"f\"}"},
      {"mistral",
       false,
       false,
       false,
       "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"id\": \"abcdefghi\"}, "
       "{\"name\": "
       "\"g\", \"arguments\": {}}]",
       "|0=id0:f:{\"a\": 1}|1=id1:g:{}"},
      {"list",
       false,
       false,
       false,
       "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]",
       "|0=id0:f:{}"},
      {"deepseek",
       false,
       false,
       false,
       "ok<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": "
       "1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<"
       "｜"
       "tool▁call▁end｜><｜tool▁calls▁end｜>",
       "|text:ok|0=id0:f:{\"a\": 1}|1=id1:g:{}"},
      {"deepseek",
       false,
       false,
       true,
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜><"
       "｜tool▁calls▁end｜"
       "> Done.\n",
       "|0=id0:f:{}|text: Done.\n"},
      {"deepseek",
       false,
       false,
       true,
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜> and so "
       "on",
       "|0=id0:f:{}|text: and so on"},
      {"deepseek",
       false,
       false,
       true,
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁calls▁end｜>\n",
       "|0=id0:f:{}"},
      {"deepseek",
       false,
       false,
       false,
       "<｜tool▁calls▁begin｜>no",
       "|text:<｜tool▁calls▁begin｜>no"},
  };
  for (const Row& row : rows) {
    for (const std::size_t size : {1U, 2U, 3U, 7U, 1000U}) {
      ChatReader::Options options;
      options.thinks = row.thinks;
      options.thinking = row.thinking;
      options.called = row.called;
      options.syntax = row.syntax == nullptr ? nullptr : call_syntax(row.syntax);
      EXPECT_EQ(read_in(size, row.answer, std::move(options)), row.expected)
          << row.answer << " in pieces of " << size;
    }
  }
}

TEST(CallableNamesTest, AreThoseThatAreOfferedAndWereNotExcluded) {
  ToolUse use = two_tools();
  EXPECT_EQ(callable_names(use), (std::vector<std::string>{"get_weather", "reboot"}));
  use.choice = ToolChoice::kNamed;
  use.named = "reboot";
  EXPECT_EQ(callable_names(use), std::vector<std::string>{"reboot"});
  use.choice = ToolChoice::kNone;
  EXPECT_TRUE(callable_names(use).empty());
}

// What another server told: call 0 is of a tool that nobody offered.
TEST(OfferedCallsTest, ACallOfAnotherToolIsText) {
  using Kind = AnswerPart::Kind;
  OfferedCalls calls{{"f", "g"}};
  std::vector<AnswerPart> told;
  calls.take({Kind::kReasoning, "hm", 0, {}, {}}, told);
  calls.take({Kind::kCall, {}, 0, "i0", "rm"}, told);
  calls.take({Kind::kArguments, "{\"a\":", 0, {}, {}}, told);
  calls.take({Kind::kArguments, "1}", 0, {}, {}}, told);
  calls.take({Kind::kCall, {}, 1, "i1", "f"}, told);
  calls.take({Kind::kArguments, "{}", 1, {}, {}}, told);
  calls.take({Kind::kCall, {}, 2, "i2", "rm"}, told);
  calls.close(told);
  calls.close(told);
  const std::vector<AnswerPart> expected{
      {Kind::kReasoning, "hm", 0, {}, {}},
      {Kind::kText, "{\"name\": \"rm\", \"arguments\": ", 0, {}, {}},
      {Kind::kText, "{\"a\":", 0, {}, {}},
      {Kind::kText, "1}", 0, {}, {}},
      {Kind::kText, "}", 0, {}, {}},
      {Kind::kCall, {}, 0, "i1", "f"},
      {Kind::kArguments, "{}", 0, {}, {}},
      {Kind::kText, "{\"name\": \"rm\", \"arguments\": ", 0, {}, {}},
      {Kind::kText, "}", 0, {}, {}},
  };
  EXPECT_EQ(told, expected);
}

TEST(ToolRequestTest, OpenAiChat) {
  const auto parsed = openai::parse_chat_request(
      R"({"model":"m","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}},"strict":true}}],)"
      R"("tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,"messages":[{"role":"user","content":"x"},)"
      R"({"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"z\":\"1\"}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":"r"}]})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().message();
  const ToolUse& use = parsed->text.tools;
  EXPECT_EQ(use.choice, ToolChoice::kNamed);
  EXPECT_EQ(use.named, "f");
  EXPECT_FALSE(use.parallel);
  ASSERT_EQ(use.tools.size(), 1U);
  EXPECT_EQ(use.tools[0],
            (ToolDefinition{
                "f",
                "d",
                R"({"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}})",
                true}));
  const auto& messages = std::get<std::vector<ChatMessage>>(parsed->text.prompts.at(0));
  EXPECT_EQ(messages.at(1),
            (ChatMessage{"assistant", "", "hm", {{"c1", "f", R"({"z":"1"})"}}, "", ""}));
  EXPECT_EQ(messages.at(2), (ChatMessage{"tool", "r", "", {}, "c1", ""}));
}

TEST(ToolRequestTest, AnthropicMessages) {
  const auto parsed = anthropic::parse_messages_request(
      R"({"model":"m","max_tokens":9,"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},)"
      R"("thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},)"
      R"({"type":"text","text":"t"},{"type":"tool_use","id":"c1","name":"f","input":{"a":1}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"r"}]},{"type":"text","text":"y"}]}]})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->tools.choice, ToolChoice::kRequired);
  EXPECT_FALSE(parsed->tools.parallel);
  EXPECT_EQ(parsed->tools.tools.at(0).schema, R"({"type":"object"})");
  EXPECT_EQ(parsed->thinking, true);
  const auto& messages = std::get<std::vector<ChatMessage>>(parsed->prompts.at(0));
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[1],
            (ChatMessage{"assistant", "t", "hm", {{"c1", "f", R"({"a":1})"}}, "", ""}));
  EXPECT_EQ(messages[2], (ChatMessage{"tool", "r", "", {}, "c1", "f"}));
  EXPECT_EQ(messages[3], (ChatMessage{"user", "y"}));
}

TEST(ToolRequestTest, AnthropicBoundsWhatIsLookedUp) {
  const auto parsed = [](const std::string& messages) {
    return anthropic::parse_messages_request(
        R"({"model":"m","max_tokens":9,"messages":[)" + messages + "]}", kBody);
  };
  const auto repeated = [](std::size_t count, const std::string& one) {
    std::string out = one;
    for (std::size_t i = 1; i < count; ++i) {
      out += "," + one;
    }
    return out;
  };
  const std::string result = R"({"type":"tool_result","tool_use_id":"c"})";
  EXPECT_TRUE(parsed(R"({"role":"user","content":[)" + repeated(2048, result) + "]}"));
  const auto results = parsed(R"({"role":"user","content":[)" + repeated(2049, result) + "]}");
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().message(),
            "messages[0].content[2048]: at most 2048 messages and results are taken");
  const std::string call = R"({"type":"tool_use","id":"c","name":"f","input":{}})";
  const std::string end = R"(]},{"role":"user","content":"x"})";
  EXPECT_TRUE(parsed(R"({"role":"assistant","content":[)" + repeated(128, call) + end));
  EXPECT_FALSE(parsed(R"({"role":"assistant","content":[)" + repeated(129, call) + end));
}

TEST(ToolRequestTest, ResponsesAndOllama) {
  const auto parsed = openai::parse_responses_request(
      R"({"model":"m","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],"tool_choice":"required","input":[{"role":"user","content":"x"},)"
      R"({"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}]})",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->tools.choice, ToolChoice::kRequired);
  const auto& items = std::get<std::vector<ChatMessage>>(parsed->prompts.at(0));
  EXPECT_EQ(items.at(1), (ChatMessage{"assistant", "", "", {{"c1", "f", "{}"}}, "", ""}));
  EXPECT_EQ(items.at(2), (ChatMessage{"tool", "r", "", {}, "c1", "f"}));

  const auto chat = ollama::parse_chat(
      R"({"model":"m","think":true,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"messages":[{"role":"user","content":"x"},)"
      R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","tool_name":"f","content":"r"}]})",
      kBody);
  ASSERT_TRUE(chat) << chat.error().message();
  EXPECT_EQ(chat->text.thinking, true);
  EXPECT_EQ(chat->text.tools.tools.size(), 1U);
  const auto& turns = std::get<std::vector<ChatMessage>>(chat->text.prompts.at(0));
  EXPECT_EQ(turns.at(1), (ChatMessage{"assistant", "", "", {{"", "f", R"({"a":1})"}}, "", ""}));
  EXPECT_EQ(turns.at(2), (ChatMessage{"tool", "r", "", {}, "", "f"}));
}

// An answer with thoughts, text and two calls, told in pieces.
std::string streamed(TextDialect& dialect) {
  std::string out = dialect.begin({"acme/m", 3, 0});
  out += dialect.reasoning(0, "hm");
  out += dialect.delta(0, "text");
  out += dialect.call(0, 0, {"c1", "f", ""});
  out += dialect.arguments(0, 0, "{\"a\":");
  out += dialect.arguments(0, 0, "1}");
  out += dialect.call(0, 1, {"c2", "g", ""});
  out += dialect.arguments(0, 1, "{}");
  TextEnd end;
  end.called = true;
  out += dialect.ended(0, end);
  return out + dialect.end(TextTotals{});
}

std::vector<Json> events_of(const std::string& stream, std::string_view before) {
  std::vector<Json> out;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = std::min(stream.find('\n', at), stream.size());
    const std::string_view line = std::string_view{stream}.substr(at, end - at);
    if (line.starts_with(before) && line.substr(before.size(), 1) == "{") {
      out.push_back(*Json::parse(line.substr(before.size())));
    }
    at = end + 1;
  }
  return out;
}

TEST(ToolAnswerTest, OpenAiChatTellsAToolsNameOnceAndItsArgumentsInPieces) {
  openai::OpenAiText request;
  auto dialect = openai::make_chat_dialect(request, {"chatcmpl-1", "", 0});
  std::vector<std::string> deltas;
  for (const Json& event : events_of(streamed(*dialect), "data: ")) {
    const Json& choice = (*event.find("choices")->array())[0];
    deltas.push_back(choice.find("delta")->dump() + choice.find("finish_reason")->dump());
  }
  EXPECT_EQ(
      deltas,
      (std::vector<std::string>{
          R"({"content":"","role":"assistant"}null)",
          R"({"reasoning_content":"hm"}null)",
          R"({"content":"text"}null)",
          R"({"tool_calls":[{"function":{"arguments":"","name":"f"},"id":"c1","index":0,"type":"function"}]}null)",
          R"({"tool_calls":[{"function":{"arguments":"{\"a\":"},"index":0}]}null)",
          R"({"tool_calls":[{"function":{"arguments":"1}"},"index":0}]}null)",
          R"({"tool_calls":[{"function":{"arguments":"","name":"g"},"id":"c2","index":1,"type":"function"}]}null)",
          R"({"tool_calls":[{"function":{"arguments":"{}"},"index":1}]}null)",
          R"({}"tool_calls")"}));
}

TEST(ToolAnswerTest, AnthropicNumbersItsBlocks) {
  auto dialect = anthropic::make_message_dialect("msg_1");
  std::vector<std::string> told;
  for (const Json& event : events_of(streamed(*dialect), "data: ")) {
    const std::string type = event.get_string("type").value_or("");
    const std::string index = std::to_string(event.get_int("index").value_or(-1));
    if (type == "content_block_start") {
      told.push_back("+" + index + event.find("content_block")->get_string("type").value_or(""));
    } else if (type == "content_block_stop") {
      told.push_back("-" + index);
    } else if (type == "content_block_delta") {
      told.push_back(index + event.find("delta")->get_string("type").value_or(""));
    } else if (type == "message_delta") {
      told.push_back(event.find("delta")->get_string("stop_reason").value_or(""));
    }
  }
  EXPECT_EQ(told,
            (std::vector<std::string>{"+0thinking",
                                      "0thinking_delta",
                                      "-0",
                                      "+1text",
                                      "1text_delta",
                                      "-1",
                                      "+2tool_use",
                                      "2input_json_delta",
                                      "2input_json_delta",
                                      "-2",
                                      "+3tool_use",
                                      "3input_json_delta",
                                      "-3",
                                      "tool_use"}));
}

TEST(ToolAnswerTest, ResponsesHasAnItemForEach) {
  auto dialect = openai::make_responses_dialect(TextRequest{}, "1", 0);
  const std::vector<Json> events = events_of(streamed(*dialect), "data: ");
  const Json::Array& output = *events.back().find("response")->find("output")->array();
  ASSERT_EQ(output.size(), 4U);
  EXPECT_EQ(output[0].get_string("type").value_or(""), "reasoning");
  EXPECT_EQ(output[1].get_string("type").value_or(""), "message");
  EXPECT_EQ(output[2].get_string("arguments").value_or(""), R"({"a":1})");
  EXPECT_EQ(output[3].get_string("name").value_or(""), "g");
}

TEST(ToolAnswerTest, OllamaTellsCallsWhole) {
  auto dialect = ollama::make_chat_dialect(WallTime{});
  std::vector<std::string> told;
  for (const Json& line : events_of(streamed(*dialect), "")) {
    told.push_back(line.find("message")->dump());
  }
  EXPECT_EQ(
      told,
      (std::vector<std::string>{
          R"({"content":"","role":"assistant","thinking":"hm"})",
          R"({"content":"text","role":"assistant"})",
          R"({"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"a":1},"name":"f"},"id":"c1"}]})",
          R"({"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{},"name":"g"},"id":"c2"}]})",
          R"({"content":"","role":"assistant"})"}));
}

TEST(ToolAnswerTest, OllamaTellsACallBeforeTheTextAfterIt) {
  auto dialect = ollama::make_chat_dialect(WallTime{});
  dialect->begin({"acme/m", 3, 0});
  EXPECT_EQ(dialect->call(0, 0, {"c1", "f", ""}), "");
  EXPECT_EQ(dialect->arguments(0, 0, "{}"), "");
  const std::vector<Json> lines = events_of(dialect->delta(0, "text"), "");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("message")->find("tool_calls"), nullptr);
  EXPECT_EQ(lines[1].find("message")->get_string("content").value_or(""), "text");
}

TEST(ToolAnswerTest, WholeAnswers) {
  TextChoice choice;
  choice.reasoning = "hm";
  choice.calls = {{"c1", "f", R"({"a":1})"}};
  choice.end.called = true;
  const TextStart start{"acme/m", 1, 0};
  const Json openai_body =
      *Json::parse(openai::make_chat_dialect({}, {"1", "", 0})->whole(start, {choice}, {}));
  const Json& told = (*openai_body.find("choices")->array())[0];
  EXPECT_EQ(
      told.find("message")->dump(),
      R"({"content":null,"reasoning_content":"hm","refusal":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{\"a\":1}","name":"f"},"id":"c1","type":"function"}]})");
  EXPECT_EQ(told.get_string("finish_reason").value_or(""), "tool_calls");
  const Json message =
      *Json::parse(anthropic::make_message_dialect("1")->whole(start, {choice}, {}));
  EXPECT_EQ(
      message.find("content")->dump(),
      R"([{"signature":"","thinking":"hm","type":"thinking"},{"id":"c1","input":{"a":1},"name":"f","type":"tool_use"}])");
  EXPECT_EQ(message.get_string("stop_reason").value_or(""), "tool_use");
}

}  // namespace
}  // namespace skerry::agent
