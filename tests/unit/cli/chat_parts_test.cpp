// The parts of the chat of `skerry run`: what lines mean, settings, saved conversations, the
// history of lines, text that a terminal may show.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/cli/chat_input.hpp"
#include "skerry/cli/chat_settings.hpp"
#include "skerry/cli/chat_transcript.hpp"
#include "skerry/cli/prompt_history.hpp"
#include "skerry/cli/terminal_text.hpp"

#include "temp_dir.hpp"

namespace skerry::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The one entry that the lines make; "/name argument" for a command.
std::string entry_of(const std::vector<std::string>& lines) {
  ChatInput input;
  std::string all;
  for (const std::string& line : lines) {
    const auto entry = input.feed(line);
    EXPECT_TRUE(entry);
    if (!entry || !*entry) {
      continue;
    }
    if (const auto* command = std::get_if<ChatCommand>(&**entry)) {
      all += "<" + command->name + "|" + command->argument + ">";
    } else {
      all += "[" + std::get<ChatPrompt>(**entry).text + "]";
    }
  }
  return all + (input.open() ? "…" : "");
}

TEST(ChatInput, TellsPromptsFromCommands) {
  EXPECT_EQ(entry_of({"hello there "}), "[hello there]");
  EXPECT_EQ(entry_of({"/set  temperature 0.2"}), "<set|temperature 0.2>");
  EXPECT_EQ(entry_of({"/bye"}), "<bye|>");
  EXPECT_EQ(entry_of({"  /?"}), "<?|>");
  EXPECT_EQ(entry_of({"", "   ", "\t"}), "");
  EXPECT_EQ(entry_of({"/etc/hosts is empty"}), "[/etc/hosts is empty]");
  EXPECT_EQ(entry_of({"//set is a command"}), "[/set is a command]");
  EXPECT_EQ(entry_of({"/ alone"}), "[/ alone]");
}

TEST(ChatInput, JoinsTheLinesOfABlock) {
  EXPECT_EQ(entry_of({R"("""one""")"}), "[one]");
  EXPECT_EQ(entry_of({R"("""one)", "  two", R"(three""")"}), "[one\n  two\nthree]");
  EXPECT_EQ(entry_of({R"(""")", "one", "", "/bye", R"(""")"}), "[one\n\n/bye]");
  EXPECT_EQ(entry_of({R"(/system """be)", R"(brief""")"}), "<system|be\nbrief>");
  EXPECT_EQ(entry_of({R"("""never ended)", "hello"}), "…");
  EXPECT_EQ(entry_of({R"(""")", R"(""")"}), "");
}

TEST(ChatInput, GivesUpABlockWithoutAnEnd) {
  ChatInput input;
  ASSERT_TRUE(input.feed(R"(""")"));
  const std::string line(1U << 20U, 'x');
  Result<std::optional<ChatEntry>> last = input.feed(line);
  for (int i = 0; i < 4 && last; ++i) {
    last = input.feed(line);
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), Error::Code::kTooLarge);
  EXPECT_FALSE(input.open());
}

TEST(ChatSettings, TakesWhatIsInRangeAndSaysWhatIsNot) {
  ChatSettings settings;
  EXPECT_TRUE(settings.set("temperature", "0.25"));
  EXPECT_TRUE(settings.set("top_k", "40"));
  EXPECT_TRUE(settings.set("stop", "END"));
  EXPECT_EQ(settings.temperature, 0.25F);
  EXPECT_TRUE(settings.set("temperature", ""));
  EXPECT_FALSE(settings.temperature);
  const std::pair<const char*, const char*> bad[] = {{"temperature", "-1"},
                                                     {"temperature", "nan"},
                                                     {"temperature", "0.5x"},
                                                     {"top_p", "1.5"},
                                                     {"top_k", "-3"},
                                                     {"top_k", "4294967296"},
                                                     {"seed", "18446744073709551615"},
                                                     {"frequency_penalty", "2.1"}};
  for (const auto& [name, value] : bad) {
    const auto set = settings.set(name, value);
    ASSERT_FALSE(set) << name << " " << value;
    EXPECT_THAT(set.error().message(), HasSubstr(name));
  }
  const auto unknown = settings.set("temprature", "1");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("temperature, "));
}

TEST(ChatSettings, EveryNameCanBeSetListedAndReadBack) {
  ChatSettings settings;
  for (const std::string& name : ChatSettings::names()) {
    ASSERT_TRUE(settings.set(name, "1")) << name;
  }
  EXPECT_EQ(settings.list().size(), ChatSettings::names().size());
  const auto again = ChatSettings::from_json(settings.to_json());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, settings);
}

TEST(ChatSettings, WritesNumbersAsTheyWereGiven) {
  ChatSettings settings;
  ASSERT_TRUE(settings.set("temperature", "0.2"));
  const auto written = settings.to_json().get_number("temperature");
  ASSERT_TRUE(written);
  EXPECT_EQ(*written, 0.2) << "and not what a float makes of it";
}

TEST(ChatTranscript, ReadsBackWhatItWrote) {
  ChatTranscript chat;
  chat.model = "acme/echo";
  chat.system = "größe\n\"q\"";
  chat.turns = {{false, "one"}, {true, "\x1b[1m two"}};
  ASSERT_TRUE(chat.settings.set("stop", "END"));
  const auto again = ChatTranscript::from_text(chat.to_text());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, chat);
}

TEST(ChatTranscript, NamesThePlaceThatIsWrong) {
  const auto document = [](const std::string& settings, const std::string& messages) {
    return R"({"format":"skerry-chat","format_version":1,"model":"m","system":"","settings":)" +
           settings + R"(,"messages":)" + messages + "}";
  };
  const std::pair<std::string, const char*> cases[] = {
      {"[]", "no saved chat"},
      {"{", ""},
      {R"({"format":"skerry-chat","format_version":2})", "format_version 1"},
      {R"({"format":"skerry-chat","format_version":1})", "model"},
      {document("[]", "[]"), "settings"},
      {document(R"({"top_p":"x"})", "[]"), "settings.top_p"},
      {document(R"({"top_p":7})", "[]"), "top_p"},
      {document(R"({"colour":7})", "[]"), "colour"},
      {document(R"({"stop":[1]})", "[]"), "settings.stop"},
      {document("{}", R"([{"role":"user"}])"), "messages[0]"},
      {document("{}", R"([{"role":"root","content":""}])"), "messages[0].role"},
      {document("{}", "[7]"), "messages[0]"}};
  for (const auto& [text, part] : cases) {
    const auto chat = ChatTranscript::from_text(text);
    ASSERT_FALSE(chat) << text;
    EXPECT_THAT(chat.error().to_string(), HasSubstr(part));
  }
}

class PromptHistoryTest : public ::testing::Test {
 protected:
  skerry::test::TempDir dir_;
  SystemFileSystem fs_;
};

TEST_F(PromptHistoryTest, ComesBackInTheNextChatForItsOwnerAlone) {
  const auto file = dir_ / "state" / "run-history";
  PromptHistory first{fs_, file};
  ASSERT_TRUE(first.load());
  for (const char* line : {"one", "two", "two", "", "with\x1b[1mescape"}) {
    ASSERT_TRUE(first.add(line));
  }
  const auto status = fs_.status(file);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->mode & 0777U, 0600U);
  PromptHistory second{fs_, file};
  ASSERT_TRUE(second.load());
  EXPECT_THAT(second.lines(), ElementsAre("one", "two"));
}

TEST_F(PromptHistoryTest, TwoChatsAtOnceKeepEachOthersLines) {
  const auto file = dir_ / "run-history";
  PromptHistory one{fs_, file};
  PromptHistory two{fs_, file};
  ASSERT_TRUE(one.add("first"));
  ASSERT_TRUE(two.add("second"));
  ASSERT_TRUE(one.add("third"));
  EXPECT_THAT(one.lines(), ElementsAre("first", "third"));
  PromptHistory later{fs_, file};
  ASSERT_TRUE(later.load());
  EXPECT_THAT(later.lines(), ElementsAre("first", "second", "third"));
}

TEST_F(PromptHistoryTest, AFileThatWasRemovedStaysRemoved) {
  const auto file = dir_ / "run-history";
  PromptHistory history{fs_, file};
  ASSERT_TRUE(history.add("secret"));
  ASSERT_TRUE(fs_.remove(file));
  ASSERT_TRUE(history.add("after"));
  PromptHistory later{fs_, file};
  ASSERT_TRUE(later.load());
  EXPECT_THAT(later.lines(), ElementsAre("after"));
}

TEST_F(PromptHistoryTest, ForgetsTheOldest) {
  PromptHistory history{fs_, {}};
  for (std::size_t i = 0; i <= PromptHistory::kMostLines; ++i) {
    ASSERT_TRUE(history.add(std::to_string(i)));
  }
  EXPECT_EQ(history.lines().size(), PromptHistory::kMostLines);
  EXPECT_EQ(history.lines().front(), "1");
  const auto kept = history.add(std::string(PromptHistory::kLongestLine + 1, 'x'));
  ASSERT_TRUE(kept);
  EXPECT_FALSE(*kept);
}

TEST_F(PromptHistoryTest, SaysWhenTheFileCannotBeWritten) {
  ASSERT_TRUE(write_file_atomic(fs_, dir_ / "file", "x", 0600));
  PromptHistory history{fs_, dir_ / "file" / "below"};
  EXPECT_FALSE(history.add("one"));
  EXPECT_THAT(history.lines(), ElementsAre("one"));
}

std::string cleaned(const std::vector<std::string>& pieces) {
  TerminalText clean;
  std::string out;
  for (const std::string& piece : pieces) {
    out += clean.clean(piece);
  }
  return out + clean.finish();
}

TEST(TerminalText, LeavesTextAlone) {
  EXPECT_EQ(cleaned({"größe\t→ 😀\n"}), "größe\t→ 😀\n");
  EXPECT_EQ(cleaned({"one\r\ntwo"}), "one\ntwo");
}

TEST(TerminalText, ShowsWhatWouldDriveTheTerminal) {
  EXPECT_EQ(cleaned({"\x1b[31m"}), "␛[31m");
  EXPECT_EQ(cleaned({std::string{"a\0b\x7f", 4}}), "a␀b␡");
  EXPECT_EQ(cleaned({"\xc2\x9b"
                     "31m"}),
            "\xef\xbf\xbd"
            "31m");  // CSI as C1
  EXPECT_EQ(cleaned({"a\xe2\x80\xae"
                     "b"}),
            "a\xef\xbf\xbd"
            "b");  // right-to-left override
  EXPECT_EQ(cleaned({"hidden\rshown"}), "hiddenshown");
}

TEST(TerminalText, JoinsCodePointsThatPiecesCut) {
  EXPECT_EQ(cleaned({"\xf0\x9f", "\x98\x80!"}), "😀!");
  EXPECT_EQ(cleaned({"\xc2",
                     "\x9b"
                     "31m"}),
            "\xef\xbf\xbd"
            "31m");
  EXPECT_EQ(cleaned({"end\xe2\x82"}), "end\xef\xbf\xbd");
}

TEST(TerminalText, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(cleaned({"\xff"
                     "a"}),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(cleaned({"\xc3("}), "\xef\xbf\xbd(");
  EXPECT_EQ(cleaned({"\xed\xa0\x80"}), "\xef\xbf\xbd");  // a surrogate
  EXPECT_EQ(cleaned({"\xe0\x80\x9b"}), "\xef\xbf\xbd");  // overlong
}

}  // namespace
}  // namespace skerry::cli
