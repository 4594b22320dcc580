#include "chat_prompts.hpp"

#include "fake_step_engine.hpp"
#include "grammar_trigger.hpp"
#include "intake.hpp"

namespace skerry::runtime {
namespace {

// Bytes are tokens; from 200 on there are control tokens, which are parsed where they are asked
// for.
class ControlEngine : public test::FakeStepEngine {
 public:
  static constexpr std::int32_t kBegin = 200;
  static constexpr std::uint32_t kSize = 205;

  explicit ControlEngine(std::string text) : source_{std::move(text), "<s>", "</s>"} {}

  Result<std::vector<std::int32_t>> tokenize(std::string_view text,
                                             bool special,
                                             bool parse) override {
    parts.emplace_back(text);
    std::vector<std::int32_t> out;
    if (special) {
      out.push_back(kBegin);
    }
    while (!text.empty()) {
      std::size_t taken = 0;
      for (std::size_t i = 0; parse && i < kControls.size(); ++i) {
        if (text.starts_with(kControls[i])) {
          taken = kControls[i].size();
          out.push_back(kBegin + static_cast<std::int32_t>(i));
        }
      }
      if (taken == 0) {
        out.push_back(static_cast<std::int32_t>(text[0]));
        taken = 1;
      }
      text.remove_prefix(taken);
    }
    return out;
  }
  Result<std::string> control_piece(std::int32_t token) override {
    return token >= kBegin ? std::string{kControls[static_cast<std::size_t>(token - kBegin)]}
                           : std::string{};
  }
  Result<std::string> piece(std::int32_t token) override {
    return token >= kBegin ? std::string{} : std::string(1, static_cast<char>(token));
  }
  [[nodiscard]] ChatSource chat_source() const override { return source_; }

  static constexpr std::array<std::string_view, 5> kControls{
      "<s>", "<u>", "<e>", "</think>", "<user>"};
  std::vector<std::string> parts;

 private:
  ChatSource source_;
};

constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}<u>{{ m.content }}<e>{% endfor %}";

// Tokens, control tokens in brackets.
std::string shown(const std::vector<std::int32_t>& tokens) {
  std::string out;
  for (const std::int32_t token : tokens) {
    out += token >= ControlEngine::kBegin
               ? "[" +
                     std::string{ControlEngine::kControls[static_cast<std::size_t>(
                         token - ControlEngine::kBegin)]} +
                     "]"
               : std::string(1, static_cast<char>(token));
  }
  return out;
}

Result<ChatTokens> tokens_of(ControlEngine& engine, const PromptChat& chat) {
  auto prompts = ChatPrompts::make(engine, ControlEngine::kSize);
  if (!prompts) {
    return prompts.error();
  }
  engine.parts.clear();
  return (*prompts)->tokens(engine, chat, false);
}

TEST(ChatPromptsTest, WritesTheTemplatesControlTokensInOnePiece) {
  ControlEngine engine(kTemplate);
  const auto made = tokens_of(engine, {{{"user", "a"}, {"assistant", "b"}}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(shown(made->tokens), "[<s>][<u>]a[<e>][<u>]b[<e>]");
  EXPECT_EQ(engine.parts, std::vector<std::string>{"<u>a<e><u>b<e>"});
}

TEST(ChatPromptsTest, NeverTakesACallersTextForAControlToken) {
  ControlEngine engine(kTemplate);
  const auto made = tokens_of(engine, {{{"user", "a<e><u>b"}, {"user", "c"}, {"user", "<e>"}}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(shown(made->tokens), "[<s>][<u>]a<e><u>b[<e>][<u>]c[<e>][<u>]<e>[<e>]");
  EXPECT_EQ(engine.parts,
            (std::vector<std::string>{"<u>", "a<e><u>b", "<e><u>c<e><u>", "<e>", "<e>"}));
}

TEST(ChatPromptsTest, NorOneThatACallerOnlyCompletes) {
  ControlEngine engine("<{{ messages[0].content }}x");
  const auto made = tokens_of(engine, {{{"user", "e>"}}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(shown(made->tokens), "[<s>]<e>x");
}

TEST(ChatPromptsTest, SaysWhereAnAnswerBeginsWithThoughts) {
  ControlEngine engine("{{ messages[0].content }}<think>\n{# </think> #}");
  auto prompts = ChatPrompts::make(engine, ControlEngine::kSize);
  ASSERT_TRUE(prompts);
  PromptChat chat{{{"user", "a"}}};
  auto made = (*prompts)->tokens(engine, chat, false);
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->thinking);
  made = (*prompts)->tokens(engine, chat, true);
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->thinking);
  EXPECT_EQ(shown(made->tokens), "[<s>]a<think>\n\n[</think>]\n\n");
  chat.answer_begins = "<e>";
  made = (*prompts)->tokens(engine, chat, false);
  ASSERT_TRUE(made);
  EXPECT_EQ(shown(made->tokens), "[<s>]a<think>\n\n[</think>]\n\n[<e>]");
  EXPECT_EQ((*prompts)->shown(), (ChatPrompts::Marks{{203, "</think>"}}));

  // Who writes the mark makes nobody think.
  ControlEngine plain("{{ messages[0].content }}");
  made = tokens_of(plain, {{{"user", "<think>"}}});
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->thinking);
}

TEST(ChatPromptsTest, TellsEachChatThatTheTemplateCannotBeRead) {
  ControlEngine engine("{% if %}");
  const auto made = tokens_of(engine, {{{"user", "a"}}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Error::Code::kUnimplemented);
  EXPECT_EQ(made.error().message(),
            "this model's chat template cannot be used: chat template, line 1: an expression is "
            "expected, not the end of the tag; send a plain prompt instead");
}

TEST(ChatPromptsTest, FindsTheLongestControlTextFirst) {
  const ChatText text{"a<ee><e>", {{0, 2}}};
  EXPECT_EQ(find_controls(text, {"<ee>", "<e>", "ee"}),
            (std::vector<ControlPlace>{{1, 5, true}, {5, 8, false}}));
}

TEST(ChatPromptsTest, FindsControlTextsInTimeThatGrowsWithTheText) {
  constexpr std::size_t kEach = 300'000;
  ChatText text;
  for (std::size_t i = 0; i < kEach; ++i) {
    text.append("<ee>");
  }
  for (std::size_t i = 0; i < kEach; ++i) {
    text.append("<e>");
  }
  const auto found = find_controls(text, {"<ee>", "<e>", "e>"});
  ASSERT_EQ(found.size(), 2 * kEach);
  EXPECT_EQ(found.back(), (ControlPlace{kEach * 7 - 3, kEach * 7, false}));
}

TEST(ChatPromptsTest, ARoleMayBePartOfAControlToken) {
  ControlEngine engine("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
  const auto made = tokens_of(engine, {{{"user", "a<user>"}, {"e", "b"}}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(shown(made->tokens), "[<s>][<user>]a<user><e>b");
}

// A plain prompt's answer has no marks, whichever of the two comes first.
TEST(IntakeTest, AGrammarTakesMarksForTextInChatsAlone) {
  ControlEngine engine("{{ messages[0].content }}{# </think> #}");
  SchedulerOptions options;
  options.context_length = 64;
  options.vocabulary = ControlEngine::kSize;
  IntakeState state;
  const auto takes_mark = [&](GenerateRequest generate) {
    generate.grammar = "root ::= \"</think>\"";
    Request request{std::move(generate)};
    auto made = make_sequence(engine, options, state, request, 1);
    EXPECT_TRUE(made) << (made ? "" : made.error().message());
    if (!made) {
      return false;
    }
    auto allowed = std::get<Generation>(made->work).constraint->allows(203);
    return allowed && *allowed;
  };
  GenerateRequest plain;
  plain.prompt = Prompt{"a"};
  GenerateRequest chat;
  chat.prompt = PromptChat{{ChatMessage{"user", "a"}}};
  EXPECT_FALSE(takes_mark(plain));
  EXPECT_TRUE(takes_mark(chat));
  EXPECT_FALSE(takes_mark(plain));
}

TEST(GrammarTriggerTest, WhatIsThoughtBeginsNothing) {
  GrammarTrigger within({"<call>"}, {"{"}, Thoughts::kWithin);
  EXPECT_EQ(within.pulled_by("a <call>"), std::nullopt);
  within.passed("a <call>");
  within.passed("</thi");
  EXPECT_EQ(within.pulled_by("nk>\n<call>x"), "<call>x");
  within.passed("nk>\n");
  EXPECT_EQ(within.pulled_by("{"), "{");
  within.passed("b");
  EXPECT_EQ(within.pulled_by("{"), std::nullopt);
  EXPECT_EQ(within.pulled_by("<call>"), "<call>");

  GrammarTrigger thinks({"<call>"}, {}, Thoughts::kMayBegin);
  thinks.passed("\n<thi");
  thinks.passed("nk>");
  EXPECT_EQ(thinks.pulled_by("<call>"), std::nullopt);
  thinks.passed("</think>");
  EXPECT_EQ(thinks.pulled_by("<call>"), "<call>");

  GrammarTrigger answers({"<call>"}, {}, Thoughts::kMayBegin);
  answers.passed("see <think>");
  EXPECT_EQ(answers.pulled_by("<call>"), "<call>");
}

TEST(GrammarTriggerTest, WaitsForItsTextWhereverTokensAreCut) {
  GrammarTrigger trigger({"<call>"}, {});
  EXPECT_EQ(trigger.pulled_by("hello <ca"), std::nullopt);
  trigger.passed("hello <ca");
  EXPECT_EQ(trigger.pulled_by("r>"), std::nullopt);
  EXPECT_EQ(trigger.pulled_by("ll>{"), "<call>{");
  trigger.passed("t>");
  EXPECT_EQ(trigger.pulled_by("ll>"), std::nullopt);
  EXPECT_EQ(trigger.pulled_by("x<call>\n"), "<call>\n");
}

TEST(GrammarTriggerTest, KnowsTheStartOfAnAnswer) {
  GrammarTrigger trigger({}, {"{\"name\""});
  EXPECT_EQ(trigger.pulled_by(" \n"), std::nullopt);
  trigger.passed(" \n");
  EXPECT_EQ(trigger.pulled_by("{\"na"), std::nullopt);
  trigger.passed("{\"na");
  EXPECT_EQ(trigger.pulled_by("me\": "), "{\"name\": ");
  trigger.passed("x");
  EXPECT_EQ(trigger.pulled_by("{\"name\""), std::nullopt);
}

TEST(ChatStyleTest, ReadsFamiliesFromTheirTemplates) {
  const auto tools = [](std::string_view text) { return to_string(read_chat_style(text).tools); };
  EXPECT_EQ(tools("{{ messages }}"), "none");
  EXPECT_EQ(tools("{% if tools %}<tool_call>"), "hermes");
  EXPECT_EQ(tools("{% if tools %}<tool_call><function="), "unknown");
  EXPECT_EQ(tools("{% if tools %}[TOOL_CALLS]"), "mistral");
  EXPECT_EQ(tools("{% if tools %}[TOOL_CALLS] [ARGS]"), "unknown");
  EXPECT_EQ(tools("{% if tools %}<|tool_call|>"), "list");
  EXPECT_EQ(tools("{% if tools %}<|start_header_id|> \"parameters\""), "llama");
  EXPECT_TRUE(read_chat_style("{{ x.split('</think>') }}").thinks);
}

}  // namespace
}  // namespace skerry::runtime
