#include <charconv>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <unistd.h>

#include <sys/types.h>

#include "null_model.hpp"

namespace skerry_null {
namespace {

constexpr std::uint32_t kDefaultContext = 4096;

bool to_number(std::string_view text, unsigned& value) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc{} && end == text.data() + text.size();
}

struct LoadFaults {
  std::string fault;
  unsigned milliseconds = 0;
};

// False if the key is unknown or the value malformed.
bool set_option(skerry_model& model,
                LoadFaults& faults,
                std::string_view key,
                std::string_view value) {
  unsigned number = 0;
  if (key == "answer") {
    model.answer = value;
    model.has_answer = true;
    return true;
  }
  if (key == "fault") {
    model.fault = value;
    return true;
  }
  if (key == "load_fault") {
    faults.fault = value;
    return true;
  }
  if (key == "commands") {
    model.commands = value == "1";
    return true;
  }
  if (key == "ranks") {
    model.ranks = value == "1";
    return true;
  }
  if (key == "drafts") {
    model.drafts = value == "1";
    return true;
  }
  if (key == "chat") {
    model.whole_chat = value == "whole";
    return true;
  }
  if (!to_number(value, number)) {
    return false;
  }
  if (key == "step_ms") {
    model.step_ms = number;
  } else if (key == "load_ms") {
    faults.milliseconds = number;
  } else if (key == "fault_at") {
    model.fault_at = number;
  } else {
    return false;
  }
  return true;
}

std::uint32_t init(const skerry_host* host,
                   const skerry_option*,
                   std::size_t,
                   skerry_runtime** runtime,
                   skerry_error*) {
  *runtime = new skerry_runtime{.host = host};
  return SKERRY_OK;
}

void fini(skerry_runtime* runtime) {
  delete runtime;
}

std::uint32_t capabilities(skerry_runtime*, skerry_capabilities* out, skerry_error*) {
  static const skerry_str kAccelerators[] = {str("cpu")};
  static const skerry_str kQuantizeTypes[] = {str("copy"), str("stall")};
  out->engine_version = str("1");
  out->accelerators = kAccelerators;
  out->accelerator_count = 1;
  out->quantize_types = kQuantizeTypes;
  out->quantize_type_count = std::size(kQuantizeTypes);
  out->features = SKERRY_FEATURE_GENERATE | SKERRY_FEATURE_EMBED | SKERRY_FEATURE_SCORE |
                  SKERRY_FEATURE_TENSORS | SKERRY_FEATURE_CHAT | SKERRY_FEATURE_SEQ_COPY |
                  SKERRY_FEATURE_SEQ_STATE | SKERRY_FEATURE_SEQ_TRIM | SKERRY_FEATURE_RANK;
  return SKERRY_OK;
}

std::uint32_t load(skerry_runtime* runtime,
                   const skerry_model_source* source,
                   const skerry_load_options* options,
                   skerry_model** model,
                   skerry_error* error) try {
  if (view(options->accelerator) != "cpu") {
    return fail(error,
                SKERRY_E_UNSUPPORTED,
                "the null runtime has no accelerator \"" + std::string{view(options->accelerator)} +
                    "\", only cpu");
  }
  auto made = std::make_unique<skerry_model>();
  LoadFaults faults;
  for (std::size_t i = 0; i < options->option_count; ++i) {
    const skerry_option& option = options->options[i];
    if (!set_option(*made, faults, view(option.key), view(option.value))) {
      return fail(error,
                  SKERRY_E_INVALID,
                  "unknown or malformed option \"" + std::string{view(option.key)} + "\"");
    }
  }
  made->host = runtime->host;
  std::memcpy(made->digest, source->digest, sizeof made->digest);
  made->context_length = options->context_length != 0 ? options->context_length : kDefaultContext;
  made->max_sequences = options->max_sequences;
  made->max_rows = options->max_rows;
  const bool knows_spare =
      options->size >= offsetof(skerry_load_options, spare_sequences) + sizeof(std::uint32_t);
  made->sequences.resize(std::size_t{options->max_sequences} +
                         (knows_spare ? options->spare_sequences : 0));
  if (!pass_time(*made, faults.milliseconds)) {
    return fail(error, SKERRY_E_CANCELLED, "interrupted");
  }
  if (faults.fault == "model") {
    return fail(error, SKERRY_E_MODEL, "the null engine was told to refuse the model");
  }
  commit_fault(faults.fault);
  *model = made.release();
  return SKERRY_OK;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory");
}

void unload(skerry_model* model) {
  delete model;
}

std::uint32_t info(skerry_model* model, skerry_model_info* out, skerry_error*) {
  out->features = SKERRY_FEATURE_GENERATE | SKERRY_FEATURE_EMBED | SKERRY_FEATURE_SCORE |
                  SKERRY_FEATURE_TENSORS | SKERRY_FEATURE_CHAT | SKERRY_FEATURE_SEQ_COPY |
                  SKERRY_FEATURE_SEQ_STATE;
  if (model->drafts) {
    out->features |= SKERRY_FEATURE_SEQ_TRIM;
  }
  if (model->ranks) {
    out->features = SKERRY_FEATURE_RANK;
  }
  out->max_concurrency = 2;
  out->architecture = str("null");
  out->accelerator = str("cpu");
  out->context_length = model->context_length;
  out->context_total = model->context_length * model->max_sequences;
  out->vocabulary = kVocabulary;
  out->embedding_length = model->ranks ? 1 : kEmbedding;
  out->max_sequences = model->max_sequences;
  out->max_rows = model->max_rows;
  if (out->size >= offsetof(skerry_model_info, spare_sequences) + sizeof(std::uint32_t)) {
    out->spare_sequences =
        static_cast<std::uint32_t>(model->sequences.size()) - model->max_sequences;
  }
  if (out->size >= offsetof(skerry_model_info, state_format) + sizeof(skerry_str)) {
    out->state_format = str("null 1");
  }
  // The null runtime answers with the last thing said; its calls of tools look like Qwen's. Asked
  // for the years since 1970 it says one "y" for each.
  if (model->whole_chat) {
    out->chat_template =
        str("{%- for message in messages -%}{{- message.content -}}{%- endfor -%}");
    return SKERRY_OK;
  }
  out->chat_template =
      str("{#- tools: <tool_call>, thoughts: </think> -#}"
          "{%- if messages[-1].content == 'years' -%}"
          "{%- for _ in range(strftime_now('%Y') | int - 1970) -%}y{%- endfor -%}"
          "{%- else -%}{{- messages[-1].content -}}{%- endif -%}");
  return SKERRY_OK;
}

// "copy": the model file as it is. "stall": half of it, and never an end.
std::uint32_t quantize(skerry_runtime*,
                       const skerry_quantize_request* request,
                       skerry_error* error) {
  const bool stalls = view(request->type) == "stall";
  if ((view(request->type) != "copy" && !stalls) || request->source->file_count == 0) {
    return fail(error, SKERRY_E_INVALID, "the null runtime quantizes only to the type copy");
  }
  const skerry_file& file = request->source->files[0];
  char buffer[1U << 16U];
  for (std::uint64_t done = 0; done < file.length;) {
    if (stalls && done >= file.length / 2) {
      commit_fault("hang");
    }
    const ssize_t got =
        pread(file.fd, buffer, sizeof buffer, static_cast<off_t>(file.offset + done));
    if (got <= 0 || write(request->output_fd, buffer, static_cast<std::size_t>(got)) != got) {
      return fail(error, SKERRY_E_IO, "copying the model failed");
    }
    done += static_cast<std::uint64_t>(got);
    if (request->progress != nullptr &&
        request->progress(request->progress_ctx,
                          static_cast<float>(done) / static_cast<float>(file.length)) != 0) {
      return fail(error, SKERRY_E_CANCELLED, "cancelled");
    }
  }
  return SKERRY_OK;
}

}  // namespace
}  // namespace skerry_null

extern "C" const skerry_plugin* skerry_get_plugin(uint32_t abi_major, uint32_t) {
  using namespace skerry_null;  // NOLINT(google-build-using-namespace): C entry point
  static const skerry_tools kTools{
      .size = sizeof(skerry_tools), .quantize = quantize, .evaluate = nullptr};
  static const skerry_plugin kPlugin{.size = sizeof(skerry_plugin),
                                     .abi_major = SKERRY_ABI_MAJOR,
                                     .abi_minor = SKERRY_ABI_MINOR,
                                     .name = str("null"),
                                     .version = str("1"),
                                     .init = init,
                                     .fini = fini,
                                     .capabilities = capabilities,
                                     .estimate = nullptr,
                                     .load = load,
                                     .unload = unload,
                                     .info = info,
                                     .step = step_table(),
                                     .infer = infer_table(),
                                     .tools = &kTools};
  // Minor version 0 asks nothing of the host beyond the major version.
  return abi_major == SKERRY_ABI_MAJOR ? &kPlugin : nullptr;
}
