// skerry run MODEL [PROMPT]: a chat on a terminal; one answer for a prompt given as an argument, on
// standard input, or both.

#include <cstdlib>
#include <istream>
#include <optional>
#include <utility>

#include "skerry/cli/chat.hpp"
#include "skerry/cli/prompt_history.hpp"
#include "skerry/cli/terminal_text.hpp"

#include "chat/asking.hpp"
#include "chat/interrupts.hpp"
#include "chat/line_editor.hpp"
#include "commands.hpp"
#include "invocation.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kMostInput = 16U << 20U;

struct RunOptions {
  std::string model;
  std::optional<std::string> prompt;
  bool raw = false;
  bool lines = false;
  bool no_stdin = false;
  bool no_history = false;
  bool verbose = false;
  std::string system;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
  std::uint32_t max_tokens = 0;
  std::vector<std::string> stop;
  std::vector<std::string> settings;
  std::string priority = "interactive";
  std::uint32_t timeout_seconds = 300;
};

std::string environment(const char* name) {
  // One thread runs here; nothing changes the environment.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::filesystem::path history_file(const RunOptions& options) {
  if (options.no_history) {
    return {};
  }
  std::filesystem::path state = environment("XDG_STATE_HOME");
  if (state.empty()) {
    const std::string home = environment("HOME");
    if (home.empty()) {
      return {};
    }
    state = std::filesystem::path{home} / ".local" / "state";
  }
  return state / "skerry" / "run-history";
}

Result<ChatTranscript> transcript_of(const RunOptions& options) {
  ChatTranscript transcript;
  transcript.model = options.model;
  transcript.system = options.system;
  ChatSettings& settings = transcript.settings;
  for (const std::string& given : options.settings) {
    const std::size_t equals = given.find('=');
    if (equals == std::string::npos) {
      return Error{Error::Code::kInvalidArgument, "--set wants NAME=VALUE, not \"" + given + "\""};
    }
    if (auto set = settings.set(given.substr(0, equals), given.substr(equals + 1)); !set) {
      return set.error().with_context("--set");
    }
  }
  if (options.temperature) {
    settings.temperature = options.temperature;
  }
  if (options.seed) {
    settings.seed = options.seed;
  }
  if (options.max_tokens > 0) {
    settings.max_tokens = options.max_tokens;
  }
  settings.stop.insert(settings.stop.end(), options.stop.begin(), options.stop.end());
  return transcript;
}

AskOptions ask_options(const Invocation& invocation, const RunOptions& options) {
  AskOptions ask;
  ask.socket = invocation.api_socket;
  ask.priority = options.priority;
  ask.timeout_seconds = options.timeout_seconds;
  ask.raw = options.raw;
  return ask;
}

// One question, one answer on standard output.
Result<void> answer_once(Invocation& invocation,
                         const RunOptions& options,
                         RemoteModel& model,
                         ChatTranscript transcript,
                         std::string prompt) {
  Console& console = invocation.console;
  transcript.turns = {ChatTurn{.by_model = false, .text = std::move(prompt)}};
  const bool terminal = console.out_terminal();
  TerminalText clean;
  const ChatReply reply = model.ask(transcript, [&](std::string_view piece) {
    if (!invocation.json) {
      console.print(terminal ? clean.clean(piece) : std::string{piece});
      console.flush();
    }
  });
  if (reply.error) {
    if (!reply.text.empty() && !invocation.json) {
      console.line("");
    }
    return *reply.error;
  }
  if (invocation.json) {
    console.print_json(reply.json);
    return {};
  }
  console.line(terminal ? clean.finish() : "");
  if (options.verbose) {
    console.note(reply.timing);
  }
  return {};
}

// All of standard input.
Result<std::string> read_input(std::istream& in) {
  std::string text;
  std::array<char, 1U << 16U> buffer{};
  while (in.read(buffer.data(), buffer.size()) || in.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMostInput) {
      return Error{Error::Code::kTooLarge, "standard input: at most 16 MiB are read"};
    }
  }
  return text;
}

Result<int> answer_lines(Invocation& invocation,
                         const RunOptions& options,
                         RemoteModel& model,
                         const ChatTranscript& transcript) {
  std::string line;
  while (std::getline(invocation.console.in(), line)) {
    if (line.empty()) {
      continue;
    }
    if (auto done = answer_once(invocation, options, model, transcript, line); !done) {
      return done.error();
    }
  }
  return kExitDone;
}

// The prompt of the command line, then what is piped in, an empty line between them.
Result<std::string> whole_prompt(Invocation& invocation, const RunOptions& options) {
  std::string prompt = options.prompt.value_or("");
  const bool piped = options.prompt ? invocation.console.in_piped() : true;
  if (options.no_stdin || !piped) {
    return prompt;
  }
  const auto input = read_input(invocation.console.in());
  if (!input) {
    return input.error();
  }
  if (!prompt.empty() && !input->empty()) {
    prompt += "\n\n";
  }
  prompt += *input;
  return prompt;
}

Result<int> chat(Invocation& invocation, const RunOptions& options, ChatTranscript transcript) {
  // Before gRPC starts threads, which inherit what is blocked.
  const auto interrupts = Interrupts::make();
  if (!interrupts) {
    return interrupts.error();
  }
  Console& console = invocation.console;
  PromptHistory history{invocation.fs, history_file(options)};
  if (auto loaded = history.load(); !loaded) {
    console.note(printable("lines of earlier chats are not there: " + loaded.error().to_string()));
  }
  // It sets the locale, so before the threads too.
  const auto lines = make_line_editor(console, history, **interrupts);
  if (!lines) {
    return lines.error();
  }
  const auto model = RemoteModel::connect(ask_options(invocation, options), interrupts->get());
  if (!model) {
    return model.error();
  }
  ChatLook look;
  look.terminal = console.out_terminal();
  look.verbose = options.verbose;
  look.json = invocation.json;
  look.home = environment("HOME");
  Chat chat{console, invocation.fs, **lines, **model, std::move(transcript), std::move(look)};
  return chat.run();
}

Result<int> run_run(Invocation& invocation, const RunOptions& options) {
  auto transcript = transcript_of(options);
  if (!transcript) {
    return transcript.error();
  }
  const bool interactive = !options.prompt && !options.lines && invocation.console.in_terminal();
  if (interactive && !options.raw) {
    return chat(invocation, options, *std::move(transcript));
  }
  const auto model = RemoteModel::connect(ask_options(invocation, options), nullptr);
  if (!model) {
    return model.error();
  }
  if (options.lines || interactive) {
    return answer_lines(invocation, options, **model, *transcript);
  }
  auto prompt = whole_prompt(invocation, options);
  if (!prompt) {
    return prompt.error();
  }
  if (prompt->find_first_not_of(" \t\r\n") == std::string::npos) {
    return Error{Error::Code::kInvalidArgument,
                 "there is nothing to ask: give a PROMPT or text on standard input"};
  }
  const auto done =
      answer_once(invocation, options, **model, *std::move(transcript), *std::move(prompt));
  return done ? Result<int>{kExitDone} : Result<int>{done.error()};
}

}  // namespace

void add_run_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand("run", "chat with a model, or ask it once");
  const auto options = add_action<RunOptions>(command, invocation, run_run);
  command->add_option("model", options->model, "slot, team/name or team/name:version")->required();
  command->add_option("prompt",
                      options->prompt,
                      "what to ask, before what is piped in; with neither: a chat on the terminal");
  command->add_flag("--raw", options->raw, "send the prompt as it is, without the chat template");
  command->add_flag(
      "--lines", options->lines, "each line of standard input is a prompt of its own");
  command->add_flag("-n,--no-stdin", options->no_stdin, "leave standard input to others");
  command->add_flag("--no-history", options->no_history, "keep the lines of this chat nowhere");
  command->add_option("--system", options->system, "system message");
  command->add_option(
      "--max-tokens", options->max_tokens, "longest answer; 0: until the model stops");
  command->add_option("--temperature", options->temperature, "0: greedy");
  command->add_option("--seed", options->seed, "same seed, same answer when nothing else runs");
  command->add_option("--stop", options->stop, "end the answer before this text (repeatable)")
      ->one_each();
  command
      ->add_option(
          "--set", options->settings, "NAME=VALUE, a setting as in the chat's /set (repeatable)")
      ->one_each();
  command->add_option("--priority", options->priority, "")
      ->one_of({"interactive", "normal", "batch"})
      ->show_default();
  command->add_option("--timeout", options->timeout_seconds, "seconds")->show_default();
  command->add_flag("-v,--verbose", options->verbose, "also say what answered and how fast");
}

}  // namespace skerry::cli
