// The chat of `skerry run` with lines that are given and a model that repeats what it is told.

#include "skerry/cli/chat.hpp"

#include <deque>
#include <limits>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "skerry/cli/program.hpp"

#include "temp_dir.hpp"

namespace skerry::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Typed {
  LineEnd end = LineEnd::kLine;
  std::string line;
};

class GivenLines final : public LineSource {
 public:
  LineEnd read(std::string_view prompt, std::string& line) override {
    prompts.emplace_back(prompt);
    if (left.empty()) {
      line.clear();
      return LineEnd::kEnd;
    }
    Typed next = std::move(left.front());
    left.pop_front();
    line = std::move(next.line);
    return next.end;
  }

  std::deque<Typed> left;
  std::vector<std::string> prompts;
};

class Parrot final : public ChatModel {
 public:
  ChatReply ask(const ChatTranscript& transcript,
                const std::function<void(std::string_view)>& on_text) override {
    asked.push_back(transcript);
    ChatReply reply = next;
    next = ChatReply{};
    if (reply.text.empty() && !reply.error && !reply.interrupted) {
      reply.text = transcript.turns.back().text;
    }
    on_text(reply.text);
    reply.timing = "12.5 tokens/s";
    reply.json = Json{Json::Object{{"text", reply.text}}};
    return reply;
  }
  Result<std::string> describe(const std::string& model) override {
    if (description_error) {
      return *description_error;
    }
    if (model == "acme/none") {
      return Error{Error::Code::kNotFound, "no model acme/none"};
    }
    return model + " 1.0.0 q8_0\ncontext: 4096 tokens";
  }

  ChatReply next;
  std::vector<ChatTranscript> asked;
  std::optional<Error> description_error;
};

class ChatTest : public ::testing::Test {
 protected:
  Result<int> chat(const std::vector<std::string>& lines, ChatLook look = {}) {
    for (const std::string& line : lines) {
      lines_.left.push_back({LineEnd::kLine, line});
    }
    Chat chat{console_, fs_, lines_, parrot_, start_, std::move(look)};
    auto code = chat.run();
    transcript_ = chat.transcript();
    return code;
  }
  static ChatTurn asked(std::string text) { return {false, std::move(text)}; }
  static ChatTurn answered(std::string text) { return {true, std::move(text)}; }
  [[nodiscard]] std::string path(const std::string& name) const { return (dir_ / name).string(); }

  skerry::test::TempDir dir_;
  SystemFileSystem fs_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{Streams{.in = in_, .out = out_, .err = err_}};
  GivenLines lines_;
  Parrot parrot_;
  ChatTranscript start_{.model = "acme/echo", .system = {}, .turns = {}, .settings = {}};
  ChatTranscript transcript_;
};

TEST_F(ChatTest, SendsTheWholeConversationEachTime) {
  const auto code = chat({"one", "two", "/bye", "never read"});
  ASSERT_TRUE(code);
  EXPECT_EQ(*code, kExitDone);
  EXPECT_EQ(out_.str(), "one\ntwo\n");
  ASSERT_EQ(parrot_.asked.size(), 2U);
  EXPECT_THAT(parrot_.asked[1].turns, ElementsAre(asked("one"), answered("one"), asked("two")));
  EXPECT_EQ(lines_.left.size(), 1U);
}

TEST_F(ChatTest, PrintsNothingButAnswersOnStandardOutput) {
  ASSERT_TRUE(chat({"/help", "/show", "/set", "/nonsense", "/set verbose on", "hello"}));
  EXPECT_EQ(out_.str(), "hello\n");
  EXPECT_THAT(err_.str(), HasSubstr("12.5 tokens/s"));
  EXPECT_THAT(err_.str(), HasSubstr("there is no command /nonsense"));
}

TEST_F(ChatTest, ClearForgetsTheConversationAndKeepsWhatIsSet) {
  ASSERT_TRUE(chat({"/system be brief", "/set temperature 0.5", "one", "/clear", "two"}));
  const ChatTranscript& last = parrot_.asked.back();
  EXPECT_THAT(last.turns, ElementsAre(asked("two")));
  EXPECT_EQ(last.system, "be brief");
  EXPECT_EQ(last.settings.temperature, 0.5F);
}

TEST_F(ChatTest, TakesBackAQuestionThatFailedWithoutAWord) {
  parrot_.next.error = Error{Error::Code::kQueueFull, "too many wait"};
  ASSERT_TRUE(chat({"one", "two"}));
  EXPECT_THAT(err_.str(), HasSubstr("queue_full: too many wait"));
  EXPECT_THAT(parrot_.asked[1].turns, ElementsAre(asked("two")));
}

TEST_F(ChatTest, KeepsWhatCameBeforeCtrlC) {
  parrot_.next.text = "half an ans";
  parrot_.next.interrupted = true;
  ASSERT_TRUE(chat({"one", "go on"}));
  EXPECT_THAT(err_.str(), HasSubstr("(interrupted)"));
  EXPECT_THAT(parrot_.asked[1].turns,
              ElementsAre(asked("one"), answered("half an ans"), asked("go on")));
}

TEST_F(ChatTest, SaysWhatToDoWhenTheContextIsFull) {
  parrot_.next.error = Error{Error::Code::kContextTooLong, "5000 tokens of 4096"};
  ASSERT_TRUE(chat({"one"}));
  EXPECT_THAT(err_.str(), HasSubstr("/clear forgets it"));
}

TEST_F(ChatTest, CtrlCAtThePromptGivesTheLineAndAnOpenBlockUp) {
  lines_.left = {{LineEnd::kInterrupted, ""},
                 {LineEnd::kLine, "\"\"\" first"},
                 {LineEnd::kInterrupted, ""},
                 {LineEnd::kLine, "plain"}};
  ASSERT_TRUE(chat({}));
  EXPECT_THAT(err_.str(), HasSubstr("/bye or Ctrl-D ends the chat"));
  EXPECT_THAT(transcript_.turns, ElementsAre(asked("plain"), answered("plain")));
  EXPECT_THAT(lines_.prompts, ElementsAre(">>> ", ">>> ", "... ", ">>> ", ">>> "));
}

TEST_F(ChatTest, AnAnswerCannotDriveTheTerminal) {
  ChatLook look;
  look.terminal = true;
  parrot_.next.text = "\x1b[2J\x1b]0;owned\x07 done";
  ASSERT_TRUE(chat({"one", "/show history"}, look));
  EXPECT_THAT(out_.str() + err_.str(), Not(HasSubstr("\x1b")));
  EXPECT_EQ(out_.str(), "␛[2J␛]0;owned␇ done\n");
  EXPECT_EQ(transcript_.turns[1].text, "\x1b[2J\x1b]0;owned\x07 done");
}

TEST_F(ChatTest, APipeGetsTheAnswerAsItIs) {
  parrot_.next.text = "\x1b[1mbold\x1b[0m\n";
  ASSERT_TRUE(chat({"one"}));
  EXPECT_EQ(out_.str(), "\x1b[1mbold\x1b[0m\n");
}

TEST_F(ChatTest, JsonPrintsEachAnswerWhole) {
  ChatLook look;
  look.json = true;
  ASSERT_TRUE(chat({"one"}, look));
  const auto json = Json::parse(out_.str());
  ASSERT_TRUE(json) << out_.str();
  EXPECT_EQ(*json->get_string("text"), "one");
}

TEST_F(ChatTest, SavesAndLoadsAConversationUnderTheModelThatIsAsked) {
  ASSERT_TRUE(chat({"/set seed 7", "/system brief", "one", "/save " + path("a.chat")}));
  const auto status = fs_.status(path("a.chat"));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->mode & 0777U, 0600U);
  ASSERT_TRUE(chat({"/model acme/other", "/load " + path("a.chat"), "two"}));
  EXPECT_THAT(transcript_.turns,
              ElementsAre(asked("one"), answered("one"), asked("two"), answered("two")));
  EXPECT_EQ(transcript_.model, "acme/other");
  EXPECT_EQ(transcript_.system, "brief");
  EXPECT_EQ(transcript_.settings.seed, 7U);
}

TEST_F(ChatTest, WritesNoFileThatItCouldNotRead) {
  // Options of the command line are not held to the ranges of /set.
  start_.settings.seed = std::numeric_limits<std::uint64_t>::max();
  ASSERT_TRUE(chat({"one", "/save " + path("a.chat"), "/set seed 7", "/save " + path("b.chat")}));
  EXPECT_THAT(err_.str(), HasSubstr("not saved, since /load would refuse it"));
  EXPECT_FALSE(fs_.exists(path("a.chat")));
  EXPECT_TRUE(fs_.exists(path("b.chat")));
}

TEST_F(ChatTest, AFileThatIsNoChatChangesNothing) {
  ASSERT_TRUE(write_file_atomic(fs_, path("bad"), R"({"format": "other"})", 0600));
  ASSERT_TRUE(chat({"one", "/load " + path("bad"), "/load " + path("missing"), "/load", "/save"}));
  EXPECT_THAT(err_.str(), HasSubstr("this is no saved chat"));
  EXPECT_THAT(err_.str(), HasSubstr("not_found"));
  EXPECT_EQ(transcript_.turns.size(), 2U);
}

TEST_F(ChatTest, LoadsRegularFilesAlone) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  ASSERT_TRUE(chat({"one", "/load " + path("pipe"), "/load /dev/zero", "/load " + path("")}));
  EXPECT_THAT(err_.str(), HasSubstr("pipe is no regular file"));
  EXPECT_THAT(err_.str(), HasSubstr("/dev/zero is no regular file"));
  EXPECT_THAT(err_.str(), HasSubstr("/ is no regular file"));
  EXPECT_EQ(transcript_.turns.size(), 2U);
}

TEST_F(ChatTest, StaysWithTheModelWhenAnotherIsNotThere) {
  ASSERT_TRUE(chat({"/model acme/none", "/model", "one"}));
  EXPECT_THAT(err_.str(), HasSubstr("no model acme/none"));
  EXPECT_EQ(parrot_.asked[0].model, "acme/echo");
}

TEST_F(ChatTest, EndsAtOnceWithoutTheModelButNotWithoutTheRightToListIt) {
  parrot_.description_error = Error{Error::Code::kUnavailable, "no daemon"};
  const auto code = chat({"one"});
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().code(), Error::Code::kUnavailable);
  parrot_.description_error = Error{Error::Code::kPermissionDenied, "not yours to list"};
  lines_.left.clear();
  ASSERT_TRUE(chat({"one"}));
  EXPECT_EQ(out_.str(), "one\n");
}

}  // namespace
}  // namespace skerry::cli
