#include "skerry/runtime/chat_template.hpp"

#include <fstream>
#include <iterator>

#include "skerry/common/json.hpp"

namespace skerry::runtime {
namespace {

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Result<ChatText> render(std::string text,
                        const PromptChat& chat,
                        const TemplateLimits& limits = {}) {
  auto made = ChatTemplate::parse({std::move(text), "<s>", "</s>"}, limits);
  if (!made) {
    return made.error();
  }
  return (*made)->render(chat);
}

PromptChat one_message(std::string content = "hi") {
  return PromptChat{{ChatMessage{"user", std::move(content)}}};
}

// The text, or "error: …".
std::string shown(std::string text, const PromptChat& chat = one_message()) {
  auto made = render(std::move(text), chat);
  return made ? made->bytes : "error: " + made.error().message();
}

std::vector<std::string> given_parts(const ChatText& text) {
  std::vector<std::string> parts;
  for (const ChatText::Span& span : text.given) {
    parts.push_back(text.bytes.substr(span.begin, span.end - span.begin));
  }
  return parts;
}

PromptChat read_chat(const Json& json, std::int64_t now) {
  PromptChat chat;
  chat.now = now;
  chat.tools = json.get_string("tools").value_or("");
  chat.add_generation_prompt = json.find("generation_prompt") == nullptr;
  if (json.find("thinking") != nullptr) {
    chat.thinking = json.get_bool("thinking").value_or(false);
  }
  for (const Json& one : *json.find("messages")->array()) {
    ChatMessage message;
    message.role = one.get_string("role").value_or("");
    message.content = one.get_string("content").value_or("");
    message.tool_call_id = one.get_string("tool_call_id").value_or("");
    message.name = one.get_string("name").value_or("");
    const Json* calls = one.find("tool_calls");
    for (const Json& call : calls == nullptr ? Json::Array{} : *calls->array()) {
      const Json& function = *call.find("function");
      message.tool_calls.push_back({call.get_string("id").value_or(""),
                                    function.get_string("name").value_or(""),
                                    function.get_string("arguments").value_or("")});
    }
    chat.messages.push_back(std::move(message));
  }
  return chat;
}

TEST(ChatTemplateTest, MakesThePromptsThatTheReferenceMakes) {
  const std::string folder = SKERRY_CHAT_VECTORS;
  const auto document = Json::parse(read_all(folder + "/prompts.json"));
  ASSERT_TRUE(document) << document.error().message();
  const std::int64_t now = document->get_int("now").value_or(0);
  int compared = 0;
  for (const auto& [name, prompts] : *document->find("expected")->object()) {
    auto made = ChatTemplate::parse({read_all(folder + "/templates/" + name), "<BOS>", "<EOS>"});
    ASSERT_TRUE(made) << name << ": " << made.error().message();
    for (const auto& [chat_name, expected] : *prompts.object()) {
      const PromptChat chat = read_chat(*document->find("chats")->find(chat_name), now);
      const auto prompt = (*made)->render(chat);
      const std::string where = name + ", " + chat_name;
      ++compared;
      if (const auto text = expected.get_string("text")) {
        ASSERT_TRUE(prompt) << where << ": " << prompt.error().message();
        EXPECT_EQ(prompt->bytes, *text) << where;
      } else {
        ASSERT_FALSE(prompt) << where;
        EXPECT_EQ(prompt.error().code(), Error::Code::kInvalidArgument) << where;
      }
    }
  }
  EXPECT_EQ(compared, 110);
}

TEST(ChatTemplateTest, KnowsWhatTheCallerWrote) {
  const auto made = render(
      "<|u|>{{ messages[0].content | trim | replace('b', '<b>') }}<|e|>{{ messages | tojson }}",
      one_message("  a<|e|>bc "));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->bytes,
            "<|u|>a<|e|><b>c<|e|>[{\"role\": \"user\", \"content\": \"  a<|e|>bc \"}]");
  EXPECT_EQ(given_parts(*made), (std::vector<std::string>{"a<|e|>", "c", "\"  a<|e|>bc \""}));
}

TEST(ChatTemplateTest, AKnownRoleIsTheTemplatesOwnWord) {
  const auto made = render("<|{{ messages[0].role }}|><|{{ messages[1].role }}|>",
                           PromptChat{{ChatMessage{"user", "a"}, ChatMessage{"x|>", "b"}}});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(given_parts(*made), std::vector<std::string>{"x|>"});
}

TEST(ChatTemplateTest, LookingForAMemberIsWork) {
  PromptChat chat = one_message();
  chat.tools = "[{";
  for (int i = 0; i < 20'000; ++i) {
    chat.tools += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  }
  chat.tools += "}]";
  EXPECT_TRUE(render("{{ tools[0].z }}", chat));
  const auto refused = render("{% for i in range(20000) %}{{ tools[0].z }}{% endfor %}", chat);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kResourceExhausted);
}

// The least work with which a chat is rendered.
std::size_t work_of(const std::string& text, const PromptChat& chat) {
  std::size_t least = 1;
  std::size_t enough = 1U << 20U;
  while (least < enough) {
    TemplateLimits limits;
    limits.work = (least + enough) / 2;
    if (render(text, chat, limits)) {
      enough = limits.work;
    } else {
      least = limits.work + 1;
    }
  }
  return least;
}

// The second one does not take arguments that are an object: it is rendered again with their text.
TEST(ChatTemplateTest, AllAttemptsAtAChatShareOneBudget) {
  PromptChat chat = one_message();
  chat.messages[0].role = "assistant";
  chat.messages[0].tool_calls = {ToolCall{"1", "f", "{}"}};
  const std::string loop = "{% for i in range(5000) %}{{ i }}{% endfor %}";
  const std::string arguments = "{{ messages[0].tool_calls[0].function.arguments.strip() }}";
  const std::size_t once = work_of(loop, chat);
  EXPECT_EQ(shown(arguments, chat), "{}");
  EXPECT_GT(once, 5000U);
  EXPECT_GT(work_of(loop + arguments, chat), once * 2);
}

TEST(ChatTemplateTest, KeepsTrackThroughEveryTextOperation) {
  const std::string mark = "{{ messages[0].content";
  for (const char* operation : {" ~ '!'",
                                "[0:3]",
                                ".strip()",
                                " | upper",
                                " | title",
                                ".split(',')[0]",
                                " | join('')",
                                " | reverse",
                                " | indent(2)",
                                " | list | join('')",
                                " | string | default('x')",
                                ".splitlines()[0]",
                                " | first",
                                " | replace('zz', 'yy')",
                                ".removeprefix('q')"}) {
    const auto made = render("[" + mark + operation + " }}]", one_message("abcdef"));
    ASSERT_TRUE(made) << operation << ": " << made.error().message();
    std::string given;
    for (const std::string& part : given_parts(*made)) {
      given += part;
    }
    std::string rest = made->bytes;
    std::erase_if(rest, [](char c) { return c == '[' || c == ']' || c == '!' || c == ' '; });
    EXPECT_EQ(given, rest) << operation;
  }
}

TEST(ChatTemplateTest, FollowsTheLanguage) {
  struct Row {
    const char* source;
    const char* prompt;
  };
  const Row rows[] = {
      {"{% for i in range(3) %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}", "0,1,2"},
      {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;"},
      {"{% for x in [] %}a{% else %}none{% endfor %}", "none"},
      {"{% for x in [1,2,3,4] if x is even %}{{ loop.index }}:{{ x }} {% endfor %}", "1:2 2:4 "},
      {"{% for x in [1,2,3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"},
      {"{% for x in [1,2,3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"},
      {"{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "1"},
      {"{% set n = namespace(x=1) %}{% for i in [1] %}{% set n.x = 2 %}{% endfor %}{{ n.x }}", "2"},
      {"{% macro m(a, b='d') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}",
       "<1d><12>"},
      {"{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{% endcall %}", "[x]"},
      {"{% set x %}a{{ 1 }}{% endset %}{{ x | upper }}", "A1"},
      {"{% filter upper %}ab{% endfilter %}", "AB"},
      {"{{ 'a' if false }}|{{ 'a' if false else 'b' }}", "|b"},
      {"{{ 1 + 2 * 3 - 4 // 3 ~ 'x' }}",
       "error: chat template, line 1: \"-\" does not join a whole "
       "number and a text"},
      {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }}", "3 -4 2 3.5 8"},
      {"{{ 2 ** 62 }} {{ (-2) ** 63 }} {{ 0 ** 0 }} {{ 1 ** 4611686018427387904 }}",
       "4611686018427387904 -9223372036854775808 1 1"},
      {"{{ 2 ** (-1) }} {{ 2.0 ** 3 }} {{ 2 ** 64 }}", "0.5 8.0 1.8446744073709552e+19"},
      {"{{ 1 < 2 < 3 }} {{ 'b' in 'abc' }} {{ 4 not in [1] }} {{ not true }}",
       "True True True False"},
      {"{{ [1, 'a', none, 1.0, {'k': \"it's\"}] }}", "[1, 'a', None, 1.0, {'k': \"it's\"}]"},
      {"{{ {'b': [1, {}], 'a': 'ü\\n'} | tojson }}", "{\"b\": [1, {}], \"a\": \"ü\\n\"}"},
      {"{{ {'b': 1, 'a': [2]} | tojson(indent=1) }}", "{\n \"b\": 1,\n \"a\": [\n  2\n ]\n}"},
      {"{{ 'äöü'[1] }}{{ 'äöü'[::-1] }}{{ 'äöü' | length }}{{ 'abc'[-2:] }}", "öüöä3bc"},
      {"{{ x is defined }} {{ x }} {{ x | default('d') }} {{ x.y is defined }}",
       "error: chat template, line 1: \"x\" is undefined"},
      {"{{ [3,1,2] | sort | join('-') }} {{ ['a','b'] | map('upper') | list }}",
       "1-2-3 ['A', 'B']"},
      {"{{ [{'r': 'a', 'n': 1}, {'r': 'b'}] | selectattr('r', 'equalto', 'b') | list | length }}",
       "1"},
      {"{{ [{'n': 5}] | map(attribute='n') | first }}", "5"},
      {"{{ '  a  b ' .split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a.b'.rsplit('.', 1)[1] }}",
       "['a', 'b'] ['a', 'b,c'] b"},
      {"{{ 'a{}c{}'.format('b', 1) }}", "abc1"},
      {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
      {"a\n  {%- if true %}\n  b\n  {%- endif %}\nc\n", "a  bc"},
      {"a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
      {"{# note #}\nx {{- ' y' -}} \n z", "x yz"},
      {"{{ strftime_now('%d %b %Y') }}", "01 Jan 1970"},
      {"{{ strftime_now('%A %-d %B %Y, %F %T %p %j %%') }}",
       "Thursday 1 January 1970, 1970-01-01 00:00:00 AM 001 %"},
      {"{{ strftime_now('%Q') }}", "error: chat template, line 1: strftime_now has no %Q"},
      {"{{ bos_token }}{{ eos_token }}{{ tools is none }}", "<s></s>True"},
      {"{{ '%s' }}{{ \"\\u00e9\" }}{{ 'a' 'b' }}", "%séab"},
      {"{{ (1, 2)[1] }}{{ [1,2,3][1:] }}{{ {'a': 1}['a'] }}{{ {'a': 1}.get('b', 5) }}",
       "2[2, 3]15"},
      {"{% generation %}x{% endgeneration %}", "x"},
      {"{{ raise_exception('no') }}", "error: the model's chat template refuses this chat: no"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(shown(row.source), row.prompt) << row.source;
  }
}

TEST(ChatTemplateTest, NamesThePlaceOfAMistake) {
  EXPECT_EQ(shown("a\n{% if x %}\nb"),
            "error: chat template, line 3: the template ends before elif, else, endif");
  EXPECT_EQ(shown("a\n\n{{ 1 + }}"),
            "error: chat template, line 3: an expression is expected, not the end of the tag");
  EXPECT_EQ(shown("{% include 'x' %}"),
            "error: chat template, line 1: \"include\" is no statement that is offered here");
  EXPECT_EQ(shown("\n{{ 'a' | nope }}"),
            "error: chat template, line 2: there is no filter \"nope\"");
  EXPECT_EQ(
      shown("{{ [1].append(2) }}"),
      "error: chat template, line 1: lists have no method \"append\" that leaves them as they are");
  EXPECT_EQ(shown("{{ 'abc"), "error: chat template, line 1: a string has no end");
  EXPECT_EQ(shown("{{ (1 }}"), "error: chat template, line 1: \"}\" closes nothing");
}

// Each of these would run for hours, or take all memory.
TEST(ChatTemplateTest, EndsWhatWouldNotEnd) {
  for (const char* source : {"{% for i in range(1000000000) %}{% endfor %}",
                             "{{ range(1000000000) | list | length }}",
                             "{{ 'x' * 1000000000 }}",
                             "{{ [1] * 1000000000 }}",
                             "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = "
                             "n.s ~ n.s %}{% endfor %}",
                             "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = "
                             "n.s | replace('x', 'xx') %}{% endfor %}",
                             "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = "
                             "n.s + n.s %}{% endfor %}",
                             "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = "
                             "[n.s, n.s] %}{% endfor %}{{ n.s }}",
                             "{% set n = namespace(s=[]) %}{% for i in range(100000) %}{% set n.s "
                             "= [n.s] %}{% endfor %}",
                             "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                             "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
                             "{% for a in range(3000) %}{% for b in range(3000) %}{% for c in "
                             "range(3000) %}{% endfor %}{% endfor %}{% endfor %}",
                             "{% for a in range(3000) %}{{ "
                             "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 1000 }}{% endfor %}",
                             "{{ ('a' * 100000) | list | unique | list }}{% for i in range(10000) "
                             "%}{{ ('a' * 100000).count('a') }}{% endfor %}",
                             "{{ 'a' | indent(200) | indent(200, true) * 1000000 }}"}) {
    const auto made = render(source, one_message());
    ASSERT_FALSE(made) << source;
    EXPECT_EQ(made.error().code(), Error::Code::kResourceExhausted)
        << source << made.error().message();
  }
}

TEST(ChatTemplateTest, BoundsTheTemplateItself) {
  const auto code = [](const std::string& source) {
    const auto made = ChatTemplate::parse({source, "", ""});
    return made ? Error::Code::kInternal : made.error().code();
  };
  std::string deep;
  for (int i = 0; i < 5000; ++i) {
    deep += "(";
  }
  std::string chain = "{{ 1";
  for (int i = 0; i < 5000; ++i) {
    chain += " + 1";
  }
  std::string ifs;
  for (int i = 0; i < 5000; ++i) {
    ifs += "{% if 1 %}";
  }
  std::string nots = "{{ ";
  for (int i = 0; i < 5000; ++i) {
    nots += "not ";
  }
  EXPECT_EQ(code("{{ " + deep + " }}"), Error::Code::kInvalidArgument);
  EXPECT_EQ(code(chain + " }}"), Error::Code::kInvalidArgument);
  EXPECT_EQ(code(ifs), Error::Code::kInvalidArgument);
  EXPECT_EQ(code(nots + "1 }}"), Error::Code::kInvalidArgument);
  EXPECT_EQ(code(std::string(300'000, 'x')), Error::Code::kInvalidArgument);
}

TEST(ChatTemplateTest, LetsNoValueHoldItself) {
  EXPECT_EQ(shown("{% set n = namespace() %}{% set n.x = n %}"),
            "error: chat template, line 1: a namespace or a loop cannot be kept in a namespace");
  EXPECT_EQ(shown("{% set n = namespace() %}{% set n.x = [n] %}"),
            "error: chat template, line 1: a namespace or a loop cannot be kept in another value");
  EXPECT_EQ(shown("{% for i in [1] %}{% set l = loop %}{% endfor %}"),
            "error: chat template, line 1: \"loop\" cannot be kept in a variable");
}

TEST(ChatTemplateTest, KeepsTheOrderOfAToolsMembers) {
  PromptChat chat = one_message();
  chat.tools =
      R"([{"type":"function","function":{"name":"z","a":1.5,"b":[true,null,"é\u00e9\n"]}}])";
  EXPECT_EQ(
      shown("{{ tools | tojson }}", chat),
      R"([{"type": "function", "function": {"name": "z", "a": 1.5, "b": [true, null, "éé\n"]}}])");
}

}  // namespace
}  // namespace skerry::runtime
