#include "inference_grpc.hpp"

#include <algorithm>
#include <utility>

#include "skerry/agent/json_schema.hpp"
#include "skerry/agent/rerank.hpp"
#include "skerry/common/json.hpp"

#include "call.hpp"
#include "chat_messages.hpp"
#include "text_reactor.hpp"

namespace skerry::agent {
namespace inference_pb = skerry::inference::v1;
namespace {

constexpr int kMaxTexts = 1024;
constexpr int kMaxTensors = 256;
constexpr std::uint32_t kMaxLogProbs = 20;

runtime::PriorityClass priority_of(inference_pb::Priority priority) {
  switch (priority) {
    case inference_pb::PRIORITY_INTERACTIVE:
      return runtime::PriorityClass::kInteractive;
    case inference_pb::PRIORITY_BATCH:
      return runtime::PriorityClass::kBatch;
    default:
      return runtime::PriorityClass::kNormal;
  }
}

// Absent temperature means greedy here, unlike in OpenAI's dialect.
runtime::SamplingParams sampling_of(const inference_pb::Sampling& in) {
  runtime::SamplingParams out;
  out.temperature = in.has_temperature() ? in.temperature() : 0.0F;
  out.top_k = in.has_top_k() ? in.top_k() : 0;
  out.top_p = in.has_top_p() ? in.top_p() : 1.0F;
  out.min_p = in.has_min_p() ? in.min_p() : 0.0F;
  out.repeat_penalty = in.has_repeat_penalty() ? in.repeat_penalty() : 1.0F;
  out.frequency_penalty = in.frequency_penalty();
  out.presence_penalty = in.presence_penalty();
  if (in.has_seed()) {
    out.seed = in.seed();
  }
  return out;
}

Result<AnswerFormat> format_of(const inference_pb::OutputFormat& format) {
  switch (format.format_case()) {
    case inference_pb::OutputFormat::kJsonSchema:
      return schema_format(format.json_schema(), "format.json_schema");
    case inference_pb::OutputFormat::kJsonObject:
      return format.json_object() ? json_object_format() : AnswerFormat{};
    case inference_pb::OutputFormat::kGbnf:
      return AnswerFormat{format.gbnf(), {}};
    case inference_pb::OutputFormat::FORMAT_NOT_SET:
      break;
  }
  return AnswerFormat{};
}

template <class Request>
CallOptions options_of(const grpc::CallbackServerContext& context, const Request& request) {
  CallOptions call;
  call.reference = request.model();
  call.priority = priority_of(request.hints().priority());
  call.timeout = shorter(time_left(context), request.hints().deadline_ms());
  call.watch = std::make_shared<CallWatch>();
  return call;
}

template <class Request>
Result<TextJob> text_job(const grpc::CallbackServerContext& context, const Request& request) {
  TextJob job;
  job.call = options_of(context, request);
  job.call.request_id = request.request_id();
  job.sampling = sampling_of(request.sampling());
  if (Result<void> checked = runtime::check_sampling(job.sampling); !checked) {
    return checked.error();
  }
  job.max_tokens = request.max_tokens();
  job.stop.assign(request.stop().begin(), request.stop().end());
  Result<AnswerFormat> format = format_of(request.format());
  if (!format) {
    return format.error();
  }
  job.grammar = std::move(format->grammar);
  job.response_format = std::move(format->response_format);
  if (request.has_logprobs()) {
    if (request.logprobs() > kMaxLogProbs) {
      return Error{Error::Code::kInvalidArgument, "logprobs: at most 20 tokens are told"};
    }
    job.log_probs = request.logprobs();
  }
  return job;
}

Result<ToolUse> tools_of(const inference_pb::ChatRequest& request) {
  const auto bad = [](std::string message) {
    return Error{Error::Code::kInvalidArgument, std::move(message)};
  };
  if (static_cast<std::size_t>(request.tools_size()) > ToolLimits::kTools) {
    return bad("tools: at most " + std::to_string(ToolLimits::kTools) + " are taken");
  }
  ToolUse use;
  for (const inference_pb::Tool& tool : request.tools()) {
    if (!is_tool_name(tool.name())) {
      return bad("tools.name: must be 1 to 64 letters, digits, \"_\" and \"-\"");
    }
    if (std::any_of(use.tools.begin(), use.tools.end(), [&](const ToolDefinition& other) {
          return other.name == tool.name();
        })) {
      return bad("tools.name: another tool is named \"" + tool.name() + "\"");
    }
    Result<Json> schema =
        Json::parse(tool.parameters_json().empty() ? "{}" : tool.parameters_json());
    if (!schema || !schema->is_object()) {
      return bad("tools." + tool.name() + ".parameters_json: must be a JSON object");
    }
    use.tools.push_back({tool.name(), tool.description(), tool.parameters_json(), tool.strict()});
  }
  use.parallel = !request.no_parallel_tool_calls();
  use.named = request.tool_choice().name();
  switch (request.tool_choice().mode()) {
    case inference_pb::ToolChoice::MODE_NONE:
      use.choice = ToolChoice::kNone;
      break;
    case inference_pb::ToolChoice::MODE_REQUIRED:
      use.choice = ToolChoice::kRequired;
      break;
    case inference_pb::ToolChoice::MODE_NAMED:
      use.choice = ToolChoice::kNamed;
      break;
    default:
      use.choice = ToolChoice::kAuto;
      break;
  }
  if (use.tools.empty() &&
      (use.choice == ToolChoice::kRequired || use.choice == ToolChoice::kNamed)) {
    return bad("tool_choice: there are no tools to call");
  }
  return use;
}

}  // namespace

grpc::ServerWriteReactor<inference_pb::GenerateEvent>* InferenceGrpc::start_text(
    grpc::CallbackServerContext* context, Result<TextJob> job) {
  const std::shared_ptr<TextReactor> reactor = TextReactor::make(core_, context);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller || !job) {
    reactor->Finish(to_status(caller ? job.error() : caller.error()));
    return reactor.get();
  }
  boost::asio::post(
      core_.control, [this, reactor, job = *std::move(job), caller = *std::move(caller)]() mutable {
        core_.tasks.spawn("generate",
                          inference_.generate(std::move(caller), std::move(job), reactor));
      });
  return reactor.get();
}

grpc::ServerWriteReactor<inference_pb::GenerateEvent>* InferenceGrpc::Generate(
    grpc::CallbackServerContext* context, const inference_pb::GenerateRequest* request) {
  Result<TextJob> job = text_job(*context, *request);
  if (job) {
    job->prompt = runtime::Prompt{request->prompt()};
  }
  return start_text(context, std::move(job));
}

grpc::ServerWriteReactor<inference_pb::GenerateEvent>* InferenceGrpc::Chat(
    grpc::CallbackServerContext* context, const inference_pb::ChatRequest* request) {
  Result<TextJob> job = text_job(*context, *request);
  Result<std::vector<runtime::ChatMessage>> messages = chat_messages(*request);
  if (job && !messages) {
    job = messages.error();
  }
  if (job) {
    runtime::PromptChat chat;
    chat.messages = *std::move(messages);
    if (request->has_thinking()) {
      chat.thinking = request->thinking();
    }
    job->prompt = std::move(chat);
    if (Result<ToolUse> tools = tools_of(*request); tools) {
      job->tools = *std::move(tools);
    } else {
      job = tools.error();
    }
  }
  return start_text(context, std::move(job));
}

grpc::ServerUnaryReactor* InferenceGrpc::Embed(grpc::CallbackServerContext* context,
                                               const inference_pb::EmbedRequest* request,
                                               inference_pb::EmbedResponse* response) {
  CallOptions call = options_of(*context, *request);
  return run_unary(
      core_,
      peers_,
      context,
      "embed",
      [this, request, response, call](Caller caller) -> Task<grpc::Status> {
        if (request->input().empty() || request->input_size() > kMaxTexts) {
          const Error bad(Error::Code::kInvalidArgument, "input: 1 to 1024 texts are taken");
          co_return to_status(bad);
        }
        std::vector<Inference::EmbedInput> texts(request->input().begin(), request->input().end());
        Result<Inference::EmbedAnswer> answer =
            co_await inference_.embed(std::move(caller), call, std::move(texts));
        if (!answer) {
          co_return to_status(answer.error());
        }
        for (const std::vector<float>& vector : answer->embeddings.vectors) {
          response->add_embeddings()->mutable_values()->Add(vector.begin(), vector.end());
        }
        response->set_model_digest(answer->model->weights.to_string());
        co_return grpc::Status::OK;
      },
      call.watch);
}

grpc::ServerUnaryReactor* InferenceGrpc::Rerank(grpc::CallbackServerContext* context,
                                                const inference_pb::RerankRequest* request,
                                                inference_pb::RerankResponse* response) {
  CallOptions call = options_of(*context, *request);
  return run_unary(
      core_,
      peers_,
      context,
      "rerank",
      [this, request, response, call](Caller caller) -> Task<grpc::Status> {
        if (request->query().empty() || request->documents().empty() ||
            request->documents_size() > kMaxTexts) {
          const Error bad(Error::Code::kInvalidArgument,
                          "a query and 1 to 1024 documents are taken");
          co_return to_status(bad);
        }
        std::vector<std::string> documents(request->documents().begin(),
                                           request->documents().end());
        Result<Inference::RerankAnswer> answer = co_await inference_.rerank(
            std::move(caller), call, request->query(), std::move(documents));
        if (!answer) {
          co_return to_status(answer.error());
        }
        const std::size_t most = request->top_n() > 0 ? request->top_n() : kMaxTexts;
        for (const std::size_t index : rerank::best_first(answer->relevances, most)) {
          inference_pb::RankedDocument& result = *response->add_results();
          result.set_index(static_cast<std::uint32_t>(index));
          result.set_relevance(answer->relevances[index]);
        }
        response->mutable_usage()->set_prompt_tokens(answer->usage.prompt_tokens);
        response->set_model_digest(answer->model->weights.to_string());
        co_return grpc::Status::OK;
      },
      call.watch);
}

grpc::ServerUnaryReactor* InferenceGrpc::Score(grpc::CallbackServerContext* context,
                                               const inference_pb::ScoreRequest* request,
                                               inference_pb::ScoreResponse* response) {
  CallOptions call = options_of(*context, *request);
  return run_unary(
      core_,
      peers_,
      context,
      "score",
      [this, request, response, call](Caller caller) -> Task<grpc::Status> {
        Result<Inference::ScoreAnswer> answer = co_await inference_.score(
            std::move(caller), call, request->prompt(), request->continuation());
        if (!answer) {
          co_return to_status(answer.error());
        }
        for (const runtime::TokenScore& token : answer->tokens) {
          response->add_logprobs(token.log_prob);
          response->add_tokens(token.token);
        }
        response->set_model_digest(answer->model->weights.to_string());
        co_return grpc::Status::OK;
      },
      call.watch);
}

grpc::ServerUnaryReactor* InferenceGrpc::Tokenize(grpc::CallbackServerContext* context,
                                                  const inference_pb::TokenizeRequest* request,
                                                  inference_pb::TokenizeResponse* response) {
  CallOptions call;
  call.reference = request->model();
  call.timeout = time_left(*context);
  call.watch = std::make_shared<CallWatch>();
  return run_unary(
      core_,
      peers_,
      context,
      "tokenize",
      [this, request, response, call](Caller caller) -> Task<grpc::Status> {
        runtime::Prompt input;
        input.text = request->text();
        Result<runtime::Tokens> tokens =
            co_await inference_.tokenize(std::move(caller), call, std::move(input));
        if (!tokens) {
          co_return to_status(tokens.error());
        }
        response->mutable_tokens()->Add(tokens->tokens.begin(), tokens->tokens.end());
        co_return grpc::Status::OK;
      },
      call.watch);
}

grpc::ServerUnaryReactor* InferenceGrpc::Infer(grpc::CallbackServerContext* context,
                                               const inference_pb::InferRequest* request,
                                               inference_pb::InferResponse* response) {
  CallOptions call = options_of(*context, *request);
  call.request_id = request->request_id();
  return run_unary(
      core_,
      peers_,
      context,
      "infer",
      [this, request, response, call](Caller caller) -> Task<grpc::Status> {
        if (request->inputs_size() > kMaxTensors || request->outputs_size() > kMaxTensors) {
          const Error bad(Error::Code::kInvalidArgument, "at most 256 tensors are taken");
          co_return to_status(bad);
        }
        std::vector<runtime::Tensor> inputs;
        for (const inference_pb::Tensor& in : request->inputs()) {
          Result<runtime::DataType> type = runtime::parse_data_type(in.datatype());
          if (!type) {
            co_return to_status(type.error().with_context("input " + in.name()));
          }
          runtime::Tensor tensor;
          tensor.name = in.name();
          tensor.type = *type;
          tensor.shape.assign(in.shape().begin(), in.shape().end());
          tensor.data = in.data();
          inputs.push_back(std::move(tensor));
        }
        std::vector<std::string> outputs(request->outputs().begin(), request->outputs().end());
        Result<Inference::InferAnswer> answer = co_await inference_.infer(
            std::move(caller), call, std::move(inputs), std::move(outputs));
        if (!answer) {
          co_return to_status(answer.error());
        }
        for (runtime::Tensor& tensor : answer->tensors.outputs) {
          inference_pb::Tensor& out = *response->add_outputs();
          out.set_name(tensor.name);
          out.set_datatype(std::string(to_string(tensor.type)));
          out.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
          out.set_data(std::move(tensor.data));
        }
        response->set_model(answer->model->name());
        response->set_version(answer->model->version());
        response->set_variant(answer->model->variant.name);
        response->set_model_digest(answer->model->weights.to_string());
        response->mutable_timing()->set_total_us(
            static_cast<std::uint64_t>(answer->total.count() / 1000));
        co_return grpc::Status::OK;
      },
      call.watch);
}

grpc::ServerUnaryReactor* InferenceGrpc::Cancel(grpc::CallbackServerContext* context,
                                                const inference_pb::CancelRequest* request,
                                                inference_pb::CancelResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "cancel",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     response->set_found(inference_.cancel(caller, request->request_id()));
                     co_return grpc::Status::OK;
                   });
}

}  // namespace skerry::agent
