// skerry run MODEL [PROMPT]: asks a model and prints the answer as it comes. Without a prompt each
// line of standard input is one.

#include <istream>
#include <optional>

#include <fmt/format.h>

#include "skerry/cli/remote_error.hpp"
#include "skerry/inference/v1/inference.grpc.pb.h"

#include "commands.hpp"
#include "invocation.hpp"
#include "remote.hpp"

namespace skerry::cli {
namespace {

namespace inference = ::skerry::inference::v1;

struct RunOptions {
  std::string model;
  std::optional<std::string> prompt;
  bool raw = false;
  bool verbose = false;
  std::string system;
  std::uint32_t max_tokens = 0;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  std::string priority = "interactive";
  std::uint32_t timeout_seconds = 300;
};

template <class Request>
void fill(Request& request, const RunOptions& options) {
  request.set_model(options.model);
  request.set_max_tokens(options.max_tokens);
  if (options.temperature) {
    request.mutable_sampling()->set_temperature(*options.temperature);
  }
  if (options.seed) {
    request.mutable_sampling()->set_seed(*options.seed);
  }
  for (const std::string& stop : options.stop) {
    request.add_stop(stop);
  }
  request.mutable_hints()->set_priority(options.priority == "batch" ? inference::PRIORITY_BATCH
                                        : options.priority == "normal"
                                            ? inference::PRIORITY_NORMAL
                                            : inference::PRIORITY_INTERACTIVE);
}

std::unique_ptr<grpc::ClientReader<inference::GenerateEvent>> start(
    inference::InferenceService::Stub& stub,
    grpc::ClientContext& context,
    const RunOptions& options,
    const std::string& prompt) {
  if (options.raw) {
    inference::GenerateRequest request;
    fill(request, options);
    request.set_prompt(prompt);
    return stub.Generate(&context, request);
  }
  inference::ChatRequest request;
  fill(request, options);
  if (!options.system.empty()) {
    auto* message = request.add_messages();
    message->set_role("system");
    message->set_content(options.system);
  }
  auto* message = request.add_messages();
  message->set_role("user");
  message->set_content(prompt);
  return stub.Chat(&context, request);
}

struct Answer {
  inference::Started started;
  inference::Done done;
  std::string text;
};

Result<Answer> ask(Invocation& invocation,
                   inference::InferenceService::Stub& stub,
                   const RunOptions& options,
                   const std::string& prompt) {
  grpc::ClientContext context;
  set_deadline(context, std::chrono::seconds{options.timeout_seconds});
  const auto reader = start(stub, context, options, prompt);
  Answer answer;
  std::optional<inference::Failure> failure;
  inference::GenerateEvent event;
  while (reader->Read(&event)) {
    if (event.has_started()) {
      answer.started = event.started();
    } else if (event.has_delta()) {
      answer.text += event.delta().text();
      if (!invocation.json) {
        invocation.console.print(event.delta().text());
        invocation.console.flush();
      }
    } else if (event.has_done()) {
      answer.done = event.done();
    } else if (event.has_failure()) {
      failure = event.failure();
    }
  }
  const grpc::Status status = reader->Finish();
  if (failure) {
    return remote_error(2, failure->code() + ": " + failure->message(), invocation.api_socket);
  }
  if (!status.ok()) {
    return to_error(status, invocation.api_socket);
  }
  return answer;
}

void report(Invocation& invocation, const RunOptions& options, const Answer& answer) {
  const auto& started = answer.started;
  const auto& done = answer.done;
  if (invocation.json) {
    const Json json{Json::Object{
        {"text", answer.text},
        {"model", started.model()},
        {"version", started.version()},
        {"variant", started.variant()},
        {"model_digest", started.model_digest()},
        {"finish_reason", done.reason() == inference::FINISH_REASON_LENGTH ? "length" : "stop"},
        {"prompt_tokens", done.usage().prompt_tokens()},
        {"completion_tokens", done.usage().completion_tokens()},
        {"first_token_us", static_cast<std::int64_t>(done.timing().first_token_us())},
        {"total_us", static_cast<std::int64_t>(done.timing().total_us())}}};
    invocation.console.print_json(json);
    return;
  }
  invocation.console.line("");
  if (options.verbose) {
    const double seconds = static_cast<double>(done.timing().total_us()) / 1e6;
    invocation.console.note(fmt::format("{} {} {} | {} + {} tokens | {:.2f} s{}",
                                        started.model(),
                                        started.version(),
                                        started.variant(),
                                        done.usage().prompt_tokens(),
                                        done.usage().completion_tokens(),
                                        seconds,
                                        done.reason() == inference::FINISH_REASON_LENGTH
                                            ? " | cut off by max tokens or context"
                                            : ""));
  }
}

Result<int> run_run(Invocation& invocation, const RunOptions& options) {
  auto channel = connect_socket(invocation.api_socket);
  if (!channel) {
    return channel.error();
  }
  const auto stub = inference::InferenceService::NewStub(*channel);
  if (options.prompt) {
    const auto answer = ask(invocation, *stub, options, *options.prompt);
    if (!answer) {
      return answer.error();
    }
    report(invocation, options, *answer);
    return kExitDone;
  }
  std::string line;
  while (std::getline(invocation.console.in(), line)) {
    if (line.empty()) {
      continue;
    }
    const auto answer = ask(invocation, *stub, options, line);
    if (!answer) {
      return answer.error();
    }
    report(invocation, options, *answer);
  }
  return kExitDone;
}

}  // namespace

void add_run_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand("run", "ask a model and print the answer as it comes");
  const auto options = add_action<RunOptions>(command, invocation, run_run);
  command->add_option("model", options->model, "slot, team/name or team/name:version")->required();
  command->add_option(
      "prompt", options->prompt, "what to ask; without it each line of standard input is a prompt");
  command->add_flag("--raw", options->raw, "send the prompt as it is, without the chat template");
  command->add_option("--system", options->system, "system message");
  command->add_option(
      "--max-tokens", options->max_tokens, "longest answer; 0: until the model stops");
  command->add_option("--temperature", options->temperature, "0: greedy");
  command->add_option("--seed", options->seed, "same seed, same answer when nothing else runs");
  command->add_option("--stop", options->stop, "end the answer before this text (repeatable)");
  command->add_option("--priority", options->priority, "")
      ->one_of({"interactive", "normal", "batch"})
      ->show_default();
  command->add_option("--timeout", options->timeout_seconds, "seconds")->show_default();
  command->add_flag("-v,--verbose", options->verbose, "also say what answered and how fast");
}

}  // namespace skerry::cli
