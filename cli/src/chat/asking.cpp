#include "asking.hpp"

#include <atomic>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "skerry/cli/remote_error.hpp"
#include "skerry/models/v1/models.grpc.pb.h"

namespace skerry::cli {
namespace {

namespace inference = ::skerry::inference::v1;
using EventReader = grpc::ClientReader<inference::GenerateEvent>;

void fill_sampling(inference::Sampling& sampling, const ChatSettings& settings) {
  if (settings.temperature) {
    sampling.set_temperature(*settings.temperature);
  }
  if (settings.top_k) {
    sampling.set_top_k(static_cast<std::uint32_t>(*settings.top_k));
  }
  if (settings.top_p) {
    sampling.set_top_p(*settings.top_p);
  }
  if (settings.min_p) {
    sampling.set_min_p(*settings.min_p);
  }
  if (settings.repeat_penalty) {
    sampling.set_repeat_penalty(*settings.repeat_penalty);
  }
  if (settings.frequency_penalty) {
    sampling.set_frequency_penalty(*settings.frequency_penalty);
  }
  if (settings.presence_penalty) {
    sampling.set_presence_penalty(*settings.presence_penalty);
  }
  if (settings.seed) {
    sampling.set_seed(*settings.seed);
  }
}

inference::Priority priority_of(const std::string& name) {
  if (name == "batch") {
    return inference::PRIORITY_BATCH;
  }
  return name == "normal" ? inference::PRIORITY_NORMAL : inference::PRIORITY_INTERACTIVE;
}

// What Generate and Chat have in common.
template <class Request>
void fill_request(Request& request, const ChatTranscript& transcript, const AskOptions& options) {
  request.set_model(transcript.model);
  request.set_max_tokens(static_cast<std::uint32_t>(transcript.settings.max_tokens.value_or(0)));
  fill_sampling(*request.mutable_sampling(), transcript.settings);
  for (const std::string& stop : transcript.settings.stop) {
    request.add_stop(stop);
  }
  request.mutable_hints()->set_priority(priority_of(options.priority));
}

std::unique_ptr<EventReader> begin(inference::InferenceService::Stub& stub,
                                   grpc::ClientContext& context,
                                   const ChatTranscript& transcript,
                                   const AskOptions& options) {
  if (options.raw) {
    inference::GenerateRequest request;
    fill_request(request, transcript, options);
    request.set_prompt(transcript.turns.back().text);
    return stub.Generate(&context, request);
  }
  inference::ChatRequest request;
  fill_request(request, transcript, options);
  const auto add = [&request](const char* role, const std::string& text) {
    auto* message = request.add_messages();
    message->set_role(role);
    message->set_content(text);
  };
  if (!transcript.system.empty()) {
    add("system", transcript.system);
  }
  for (const ChatTurn& turn : transcript.turns) {
    add(turn.by_model ? "assistant" : "user", turn.text);
  }
  return stub.Chat(&context, request);
}

struct Heard {
  inference::Started started;
  inference::Done done;
  std::optional<inference::Failure> failure;
};

const char* reason_name(inference::FinishReason reason) {
  switch (reason) {
    case inference::FINISH_REASON_LENGTH:
      return "length";
    case inference::FINISH_REASON_CANCELLED:
      return "cancelled";
    default:
      return "stop";
  }
}

// Tokens after the first one, over the time after it; 0: too few to tell.
double tokens_per_second(const inference::Done& done) {
  const std::uint32_t tokens = done.usage().completion_tokens();
  const double seconds = static_cast<double>(done.timing().decode_us()) / 1e6;
  return tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : 0;
}

std::string timing_line(const Heard& heard) {
  const auto& started = heard.started;
  const auto& done = heard.done;
  const auto milliseconds = [](std::uint64_t us) { return static_cast<double>(us) / 1e3; };
  std::string line = fmt::format("{} {} {} | first token {:.0f} ms | ",
                                 started.model(),
                                 started.version(),
                                 started.variant(),
                                 milliseconds(done.timing().first_token_us()));
  if (const double speed = tokens_per_second(done); speed > 0) {
    line += fmt::format("{:.1f} tokens/s | ", speed);
  }
  line +=
      fmt::format("{} + {} tokens", done.usage().prompt_tokens(), done.usage().completion_tokens());
  if (done.usage().cached_tokens() > 0) {
    line += fmt::format(" ({} of the prompt cached)", done.usage().cached_tokens());
  }
  line += fmt::format(" | {:.2f} s", milliseconds(done.timing().total_us()) / 1e3);
  if (done.reason() == inference::FINISH_REASON_LENGTH) {
    line += " | cut off by max_tokens or the context";
  }
  return printable(line);
}

// Of an answer that did not come to its end there is no Done.
const char* reason_of(const Heard& heard, const ChatReply& reply) {
  if (reply.interrupted) {
    return "cancelled";
  }
  return reply.error ? "error" : reason_name(heard.done.reason());
}

Json json_of(const Heard& heard, const ChatReply& reply) {
  const auto& started = heard.started;
  const auto& done = heard.done;
  return Json{
      Json::Object{{"text", reply.text},
                   {"model", started.model()},
                   {"version", started.version()},
                   {"variant", started.variant()},
                   {"model_digest", started.model_digest()},
                   {"finish_reason", reason_of(heard, reply)},
                   {"prompt_tokens", done.usage().prompt_tokens()},
                   {"cached_tokens", done.usage().cached_tokens()},
                   {"completion_tokens", done.usage().completion_tokens()},
                   {"queue_us", static_cast<std::int64_t>(done.timing().queue_us())},
                   {"first_token_us", static_cast<std::int64_t>(done.timing().first_token_us())},
                   {"total_us", static_cast<std::int64_t>(done.timing().total_us())},
                   {"tokens_per_second", tokens_per_second(done)}}};
}

}  // namespace

RemoteModel::RemoteModel(AskOptions options,
                         Interrupts* interrupts,
                         const std::shared_ptr<grpc::Channel>& channel)
    : options_(std::move(options)),
      interrupts_(interrupts),
      stub_(inference::InferenceService::NewStub(channel)) {}

Result<std::unique_ptr<RemoteModel>> RemoteModel::connect(AskOptions options,
                                                          Interrupts* interrupts) {
  const auto channel = connect_socket(options.socket);
  if (!channel) {
    return channel.error();
  }
  return std::unique_ptr<RemoteModel>{new RemoteModel{std::move(options), interrupts, *channel}};
}

ChatReply RemoteModel::ask(const ChatTranscript& transcript, const OnText& on_text) {
  grpc::ClientContext context;
  set_deadline(context, std::chrono::seconds{options_.timeout_seconds});
  ChatReply reply;
  Heard heard;
  grpc::Status status;
  std::atomic<bool> pressed{false};
  {
    std::optional<OnInterrupt> watch;
    if (interrupts_ != nullptr) {
      watch.emplace(*interrupts_, [&context, &pressed] {
        pressed = true;
        context.TryCancel();
      });
    }
    const auto reader = begin(*stub_, context, transcript, options_);
    inference::GenerateEvent event;
    while (reader->Read(&event)) {
      if (event.has_started()) {
        heard.started = event.started();
      } else if (event.has_delta()) {
        reply.text += event.delta().text();
        on_text(event.delta().text());
      } else if (event.has_done()) {
        heard.done = event.done();
      } else if (event.has_failure()) {
        heard.failure = event.failure();
      }
    }
    status = reader->Finish();
  }
  if (heard.failure) {
    reply.error =
        remote_error(2, heard.failure->code() + ": " + heard.failure->message(), options_.socket);
  } else if (status.error_code() == grpc::StatusCode::CANCELLED && pressed) {
    // Without Ctrl-C it was the daemon: it stops, or nothing was read for too long.
    reply.interrupted = true;
  } else if (!status.ok()) {
    reply.error = to_error(status, options_.socket);
  } else {
    reply.timing = timing_line(heard);
  }
  reply.json = json_of(heard, reply);
  return reply;
}

Result<std::string> RemoteModel::describe(const std::string& model) {
  namespace models = ::skerry::models::v1;
  models::GetModelRequest request;
  request.set_model(model);
  const auto answer = call_socket(
      options_.socket, &models::ModelService::Stub::GetModel, request, std::chrono::seconds{10});
  if (!answer) {
    return answer.error();
  }
  const models::Model& found = *answer;
  std::string text = fmt::format("{} {} {}", found.name(), found.version(), found.variant());
  text += fmt::format("\nslot: {}\nstate: {}\nruntime: {}\nsize: {}\nloaded: {}\nweights: {}",
                      found.slot(),
                      found.state(),
                      found.runtime(),
                      human_bytes(found.size_bytes()),
                      found.loaded() ? "yes" : "no",
                      found.model_digest());
  if (found.context_length() > 0) {
    text += fmt::format("\ncontext: {} tokens", found.context_length());
  }
  return text;
}

}  // namespace skerry::cli
