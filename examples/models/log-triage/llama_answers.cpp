// What llama.cpp itself does with the model, for verify.py: quantize, tokenize, answer. Used when
// re-training only.
//
//   llama_answers <engine library folder> quantize <in.gguf> <out.gguf> <Q8_0|Q4_K_M|Q2_K>
//   llama_answers <engine library folder> tokens|answers|chat <model.gguf>     one prompt per line
//   on stdin
//
// "answers" decodes greedily from the raw prompt, "chat" from the chat template applied to the line
// as a user message.
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace {

constexpr int kMaxAnswerTokens = 60;

void log_warnings(ggml_log_level level, const char* text, void*) {
  if (level >= GGML_LOG_LEVEL_WARN && std::string_view(text) != ".")
    std::fputs(text, stderr);
}

std::vector<llama_token> tokenize(const llama_vocab* vocab, const std::string& text) {
  std::vector<llama_token> tokens(text.size() + 8);
  const int count = llama_tokenize(vocab,
                                   text.data(),
                                   static_cast<int>(text.size()),
                                   tokens.data(),
                                   static_cast<int>(tokens.size()),
                                   true,
                                   false);
  tokens.resize(count < 0 ? 0 : count);
  return tokens;
}

std::string apply_template(const llama_model* model, const std::string& line) {
  const llama_chat_message message{"user", line.c_str()};
  std::string text(line.size() + 256, '\0');
  const int size = llama_chat_apply_template(llama_model_chat_template(model, nullptr),
                                             &message,
                                             1,
                                             true,
                                             text.data(),
                                             static_cast<int>(text.size()));
  text.resize(size < 0 ? 0 : size);
  return text;
}

std::string answer(llama_context* context,
                   const llama_vocab* vocab,
                   std::vector<llama_token> tokens) {
  llama_memory_clear(llama_get_memory(context), true);
  std::string text;
  llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()));
  llama_token next = 0;
  for (int made = 0; made < kMaxAnswerTokens; ++made) {
    if (llama_decode(context, batch) != 0)
      return "(decode failed)";
    const float* logits = llama_get_logits_ith(context, -1);
    next = 0;
    for (int i = 1; i < llama_vocab_n_tokens(vocab); ++i) {
      if (logits[i] > logits[next])
        next = i;
    }
    if (llama_vocab_is_eog(vocab, next))
      return text;
    char piece[128];
    const int size = llama_token_to_piece(vocab, next, piece, sizeof piece, 0, true);
    text.append(piece, size < 0 ? 0 : size);
    batch = llama_batch_get_one(&next, 1);
  }
  return text + "(no end)";
}

int quantize(const char* in, const char* out, const std::string& type) {
  const std::map<std::string, llama_ftype> types{{"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
                                                 {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
                                                 {"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K}};
  const auto found = types.find(type);
  if (found == types.end()) {
    std::fprintf(stderr, "unknown type %s\n", type.c_str());
    return 2;
  }
  auto params = llama_model_quantize_default_params();
  params.nthread = 1;
  params.ftype = found->second;
  return static_cast<int>(llama_model_quantize(in, out, &params));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(
        stderr,
        "usage: llama_answers <engine folder> quantize|tokens|answers|chat <model.gguf> ...\n");
    return 2;
  }
  llama_log_set(log_warnings, nullptr);
  ggml_backend_load_all_from_path(argv[1]);
  llama_backend_init();
  const std::string command = argv[2];
  if (command == "quantize")
    return argc == 6 ? quantize(argv[3], argv[4], argv[5]) : 2;

  llama_model* model = llama_model_load_from_file(argv[3], llama_model_default_params());
  if (model == nullptr)
    return 1;
  const llama_vocab* vocab = llama_model_get_vocab(model);
  auto params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_threads = params.n_threads_batch = 1;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr)
    return 1;

  std::string line;
  while (std::getline(std::cin, line)) {
    if (command == "chat")
      line = apply_template(model, line);
    const auto tokens = tokenize(vocab, line);
    if (command == "tokens") {
      for (const llama_token token : tokens)
        std::printf("%d ", token);
      std::printf("\n");
    } else {
      std::printf("%s\n", answer(context, vocab, tokens).c_str());
    }
  }
  llama_free(context);
  llama_model_free(model);
  return 0;
}
