#include "skerry/cli/chat.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

#include "skerry/cli/program.hpp"
#include "skerry/cli/terminal_text.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::cli {
namespace {

constexpr std::string_view kPrompt = ">>> ";
constexpr std::string_view kMore = "... ";

constexpr std::string_view kHelp =
    R"(/set NAME VALUE   how to answer (/set alone: the names); without VALUE: the default again
/set verbose on   a line about time and tokens after each answer
/system TEXT      what the model is told first; alone: nothing
/clear            forget the conversation; what is set stays
/show             the model, and what is set; /show history: the conversation
/model MODEL      another model; the conversation goes on
/save FILE        write the conversation to a file; /load FILE: take it up again
/bye              end (also /exit, /quit, Ctrl-D)
"""               begins and ends a text of several lines
//…               a prompt that begins with a slash
Ctrl-C            ends the answer, or gives up the line)";

std::string_view first_word(std::string_view text) {
  return text.substr(0, text.find(' '));
}

std::string_view after_first_word(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) {
    return {};
  }
  const std::size_t begin = text.find_first_not_of(' ', space);
  return begin == std::string_view::npos ? std::string_view{} : text.substr(begin);
}

// Text of several lines from elsewhere, for a terminal.
std::string shown(std::string_view text) {
  TerminalText clean;
  std::string out = clean.clean(text);
  return out + clean.finish();
}

}  // namespace

Chat::Chat(Console& console,
           FileSystem& fs,
           LineSource& lines,
           ChatModel& model,
           ChatTranscript transcript,
           ChatLook look)
    : console_(console),
      fs_(fs),
      lines_(lines),
      model_(model),
      transcript_(std::move(transcript)),
      look_(std::move(look)) {}

Result<int> Chat::run() {
  if (auto greeted = greet(); !greeted) {
    return greeted.error();
  }
  std::string line;
  while (true) {
    const LineEnd end = lines_.read(input_.open() ? kMore : kPrompt, line);
    if (end == LineEnd::kEnd) {
      console_.note("");
      return kExitDone;
    }
    if (end == LineEnd::kInterrupted) {
      if (!input_.open() && line.empty()) {
        console_.note("/bye or Ctrl-D ends the chat");
      }
      input_.discard();
      continue;
    }
    const auto entry = input_.feed(line);
    if (!entry) {
      console_.note(entry.error().to_string());
    } else if (*entry) {
      if (const auto* command = std::get_if<ChatCommand>(&**entry)) {
        if (!obey(*command)) {
          return kExitDone;
        }
      } else {
        ask(std::get<ChatPrompt>(**entry).text);
      }
    }
  }
}

Result<void> Chat::greet() {
  const auto description = model_.describe(transcript_.model);
  std::string who = transcript_.model;
  if (description) {
    who = printable(description->substr(0, description->find('\n')));
  } else if (description.error().code() != Error::Code::kPermissionDenied) {
    // Who may use a model need not be allowed to list it.
    return description.error();
  }
  console_.note(who + " (/help: commands, /bye or Ctrl-D: end)");
  return {};
}

void Chat::ask(const std::string& prompt) {
  transcript_.turns.push_back({.by_model = false, .text = prompt});
  TerminalText clean;
  bool line_open = false;
  ChatReply reply = model_.ask(transcript_, [&](std::string_view piece) {
    if (look_.json) {
      return;
    }
    const std::string text = look_.terminal ? clean.clean(piece) : std::string{piece};
    if (!text.empty()) {
      line_open = text.back() != '\n';
      console_.print(text);
      console_.flush();
    }
  });
  if (line_open) {
    console_.line(look_.terminal ? clean.finish() : "");
    console_.flush();
  }
  if (reply.error) {
    console_.note(printable(reply.error->to_string()));
    if (reply.error->code() == Error::Code::kContextTooLong) {
      console_.note("the conversation is longer than the model can read; /clear forgets it");
    }
  }
  if (reply.interrupted) {
    console_.note("(interrupted)");
  }
  if (reply.text.empty() && (reply.error || reply.interrupted)) {
    // As if it had not been asked, so that it can be asked again.
    transcript_.turns.pop_back();
    return;
  }
  transcript_.turns.push_back({.by_model = true, .text = std::move(reply.text)});
  if (look_.json) {
    console_.print_json(reply.json);
    console_.flush();
  } else if (look_.verbose && !reply.timing.empty()) {
    console_.note(reply.timing);
  }
}

bool Chat::obey(const ChatCommand& command) {
  const std::string& name = command.name;
  if (name == "bye" || name == "exit" || name == "quit") {
    return false;
  }
  if (name == "help" || name == "?") {
    console_.note(kHelp);
  } else if (name == "clear") {
    transcript_.turns.clear();
    console_.note("the conversation is forgotten");
  } else if (name == "set") {
    set(command.argument);
  } else if (name == "system") {
    change_system(command.argument);
  } else if (name == "show") {
    show(command.argument);
  } else if (name == "model") {
    change_model(command.argument);
  } else if (name == "save") {
    save(command.argument);
  } else if (name == "load") {
    load(command.argument);
  } else {
    console_.note("there is no command /" + name + "; /help lists them, //" + name +
                  " … is a prompt");
  }
  return true;
}

void Chat::set(const std::string& what) {
  const std::string_view name = first_word(what);
  const std::string_view value = after_first_word(what);
  if (name.empty()) {
    console_.note(fmt::format("{}, verbose (on, off)", fmt::join(ChatSettings::names(), ", ")));
    return;
  }
  if (name == "verbose") {
    if (value != "on" && value != "off") {
      console_.note("/set verbose on, or off");
      return;
    }
    look_.verbose = value == "on";
  } else if (auto done = transcript_.settings.set(name, value); !done) {
    console_.note(printable(done.error().message()));
    return;
  }
  console_.note(printable(value.empty() ? fmt::format("{} is the default again", name)
                                        : fmt::format("{} is {}", name, value)));
}

void Chat::change_system(const std::string& text) {
  transcript_.system = text;
  console_.note(text.empty() ? "no system message" : "the system message is set");
}

void Chat::change_model(const std::string& name) {
  if (name.empty()) {
    console_.note("/model MODEL: a slot, team/name or team/name:version");
    return;
  }
  const auto description = model_.describe(name);
  if (!description && description.error().code() != Error::Code::kPermissionDenied) {
    console_.note(printable(description.error().to_string()));
    return;
  }
  transcript_.model = name;
  console_.note("now asking " + printable(description ? first_word(*description) : name));
}

void Chat::show(const std::string& what) {
  if (what == "history") {
    show_history();
    return;
  }
  if (!what.empty()) {
    console_.note("/show, or /show history");
    return;
  }
  if (const auto description = model_.describe(transcript_.model)) {
    console_.note(shown(*description));
  } else {
    console_.note(printable(transcript_.model + ": " + description.error().message()));
  }
  for (const auto& [name, value] : transcript_.settings.list()) {
    console_.note(printable(fmt::format("{}: {}", name, value)));
  }
  if (!transcript_.system.empty()) {
    console_.note("system: " + shown(transcript_.system));
  }
  console_.note(fmt::format("turns: {}", transcript_.turns.size()));
}

void Chat::show_history() {
  for (const ChatTurn& turn : transcript_.turns) {
    console_.note((turn.by_model ? "<<< " : std::string{kPrompt}) + shown(turn.text));
  }
}

std::filesystem::path Chat::path_of(const std::string& name) const {
  if (name.starts_with("~/") && !look_.home.empty()) {
    return look_.home / name.substr(2);
  }
  return name;
}

void Chat::save(const std::string& name) {
  if (name.empty()) {
    console_.note("/save FILE");
    return;
  }
  const std::string text = transcript_.to_text();
  if (const auto readable = ChatTranscript::from_text(text); !readable) {
    console_.note(
        printable("not saved, since /load would refuse it: " + readable.error().to_string()));
    return;
  }
  // Only the user's own: conversations are private.
  constexpr std::uint32_t kPrivate = 0600;
  const auto done = write_file_atomic(fs_, path_of(name), text, kPrivate);
  console_.note(printable(done ? "saved to " + name : done.error().to_string()));
}

namespace {

// A regular file alone: a FIFO or a terminal would keep the chat waiting for whoever writes it.
Result<std::string> read_saved(FileSystem& fs, const std::filesystem::path& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  if (!fd) {
    return errno_error(errno, path.string());
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) {
    return errno_error(errno, path.string());
  }
  if (!S_ISREG(status.st_mode)) {
    return Error{Error::Code::kInvalidArgument, path.string() + " is no regular file"};
  }
  return read_file(fs, "/proc/self/fd/" + std::to_string(fd.get()), ChatTranscript::kMostBytes);
}

}  // namespace

void Chat::load(const std::string& name) {
  if (name.empty()) {
    console_.note("/load FILE");
    return;
  }
  const auto text = read_saved(fs_, path_of(name));
  auto loaded = text ? ChatTranscript::from_text(*text) : Result<ChatTranscript>{text.error()};
  if (!loaded) {
    console_.note(printable(loaded.error().with_context(name).to_string()));
    return;
  }
  // The model stays: a file must not choose who reads what is typed next.
  const std::string from = std::exchange(loaded->model, transcript_.model);
  transcript_ = *std::move(loaded);
  console_.note(printable(fmt::format(
      "{} turns with {}; now asking {}", transcript_.turns.size(), from, transcript_.model)));
}

}  // namespace skerry::cli
