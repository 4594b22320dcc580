#pragma once

// The interactive chat of `skerry run MODEL`: reads lines, obeys / commands, asks the model with
// the whole conversation, prints the answer as it comes. Where lines come from and who answers are
// given, so that tests play both; the real ones are src/chat/line_editor.hpp and
// src/chat/asking.hpp.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "skerry/cli/chat_input.hpp"
#include "skerry/cli/chat_transcript.hpp"
#include "skerry/cli/console.hpp"
#include "skerry/common/file_system.hpp"

namespace skerry::cli {

enum class LineEnd { kLine, kInterrupted, kEnd };

class LineSource {
 public:
  virtual ~LineSource() = default;
  // Shows `prompt` and waits. kLine: `line` is what was typed; kInterrupted: Ctrl-C gave it up;
  // kEnd: Ctrl-D, or there is no more.
  virtual LineEnd read(std::string_view prompt, std::string& line) = 0;
};

struct ChatReply {
  std::string text;
  // Ctrl-C: `text` is what had come.
  bool interrupted = false;
  std::optional<Error> error;
  // How fast it was, for people; and the whole answer, for programs.
  std::string timing;
  Json json;
};

class ChatModel {
 public:
  virtual ~ChatModel() = default;
  // Asks for the answer to the last turn; `on_text` gets it piece by piece. Blocks.
  virtual ChatReply ask(const ChatTranscript& transcript,
                        const std::function<void(std::string_view)>& on_text) = 0;
  // Lines about a model; kNotFound, kPermissionDenied, kUnavailable. Blocks.
  virtual Result<std::string> describe(const std::string& model) = 0;
};

struct ChatLook {
  // Answers go to a terminal: control characters in them are made visible.
  bool terminal = false;
  bool verbose = false;
  // Each answer is printed whole, as JSON.
  bool json = false;
  // What "~/" stands for in the names of /save and /load; empty: nothing.
  std::filesystem::path home;
};

class Chat {
 public:
  // Everything is borrowed and outlives the chat.
  Chat(Console& console,
       FileSystem& fs,
       LineSource& lines,
       ChatModel& model,
       ChatTranscript transcript,
       ChatLook look);

  // Until /bye or Ctrl-D. Fails only where the model does not exist or no daemon answers at the
  // start; what fails later is said and the chat goes on.
  Result<int> run();

  [[nodiscard]] const ChatTranscript& transcript() const { return transcript_; }

 private:
  Result<void> greet();
  void ask(const std::string& prompt);
  void say(std::string_view text);
  // False: the chat is over.
  bool obey(const ChatCommand& command);
  void help();
  void show(const std::string& what);
  void show_history();
  void set(const std::string& what);
  void change_system(const std::string& text);
  void change_model(const std::string& name);
  void save(const std::string& name);
  void load(const std::string& name);
  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const;

  Console& console_;
  FileSystem& fs_;
  LineSource& lines_;
  ChatModel& model_;
  ChatTranscript transcript_;
  ChatLook look_;
  ChatInput input_;
};

}  // namespace skerry::cli
