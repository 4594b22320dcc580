// Rerankers: how a query and a document are written for one, and what its answer means. Models say
// either by a template ("tokenizer.chat_template.rerank") or by what their tokenizer puts between
// two texts, as BERT's do.

#include <algorithm>
#include <climits>
#include <cmath>
#include <exception>
#include <new>

#include "llama_plugin.hpp"

namespace skerry_llama {
namespace {

using Tokens = std::vector<llama_token>;

constexpr std::string_view kQuery = "{query}";
constexpr std::string_view kDocument = "{document}";

// False: the text is too long for the engine.
bool append(const skerry_model& model, std::string_view text, bool special, Tokens& out) {
  if (text.empty()) {
    return true;
  }
  if (text.size() > static_cast<std::size_t>(INT_MAX)) {
    return false;
  }
  const auto length = static_cast<std::int32_t>(text.size());
  Tokens tokens(text.size() + 8);
  std::int32_t count = llama_tokenize(model.vocab,
                                      text.data(),
                                      length,
                                      tokens.data(),
                                      static_cast<std::int32_t>(std::min<std::size_t>(
                                          tokens.size(), static_cast<std::size_t>(INT_MAX))),
                                      false,
                                      special);
  if (count < 0 && count != INT_MIN) {
    tokens.resize(static_cast<std::size_t>(-count));
    count = llama_tokenize(model.vocab, text.data(), length, tokens.data(), -count, false, special);
  }
  if (count < 0) {
    return false;
  }
  out.insert(out.end(), tokens.begin(), tokens.begin() + count);
  return true;
}

void append_if(bool wanted, llama_token token, Tokens& out) {
  if (wanted && token != LLAMA_TOKEN_NULL) {
    out.push_back(token);
  }
}

// As the tokenizer joins two texts: [begin] query [end] [separator] document [end].
bool join(const skerry_model& model,
          std::string_view query,
          std::string_view document,
          Tokens& out) {
  const llama_vocab* vocab = model.vocab;
  llama_token end = llama_vocab_eos(vocab);
  if (end == LLAMA_TOKEN_NULL) {
    end = llama_vocab_sep(vocab);
  }
  append_if(llama_vocab_get_add_bos(vocab), llama_vocab_bos(vocab), out);
  if (!append(model, query, false, out)) {
    return false;
  }
  append_if(llama_vocab_get_add_eos(vocab), end, out);
  append_if(llama_vocab_get_add_sep(vocab), llama_vocab_sep(vocab), out);
  if (!append(model, document, false, out)) {
    return false;
  }
  append_if(llama_vocab_get_add_eos(vocab), end, out);
  return true;
}

// Only the template's own text may become control tokens. A blank before a place goes with what
// stands there, since a tokenizer begins a word with it.
bool fill_template(const skerry_model& model,
                   std::string_view query,
                   std::string_view document,
                   Tokens& out) {
  std::string_view rest = model.rank_template;
  while (!rest.empty()) {
    const std::size_t place = std::min(rest.find(kQuery), rest.find(kDocument));
    std::string_view literal = rest.substr(0, place);
    const bool blank = place != std::string_view::npos && literal.ends_with(' ');
    literal.remove_suffix(blank ? 1 : 0);
    if (!append(model, literal, true, out)) {
      return false;
    }
    if (place == std::string_view::npos) {
      return true;
    }
    const bool is_query = rest.substr(place).starts_with(kQuery);
    std::string text{blank ? " " : ""};
    text.append(is_query ? query : document);
    if (!append(model, text, false, out)) {
      return false;
    }
    rest.remove_prefix(place + (is_query ? kQuery.size() : kDocument.size()));
  }
  return true;
}

}  // namespace

std::uint32_t learn_ranking(skerry_model& made, bool pools_ranks, skerry_error* error) {
  if (!pools_ranks) {
    return SKERRY_OK;
  }
  // Qwen3's rerankers answer "yes" and "no", as probabilities; others with one logit.
  const std::uint32_t outputs = llama_model_n_cls_out(made.model.get());
  made.rank_is_share = made.architecture == "qwen3" && outputs == 2;
  if (outputs != 1 && !made.rank_is_share) {
    return fail(error,
                SKERRY_E_UNSUPPORTED,
                "this model sorts texts into " + std::to_string(outputs) +
                    " classes: it does not say how relevant one is");
  }
  const char* const text = llama_model_chat_template(made.model.get(), "rerank");
  made.rank_template = text != nullptr ? text : "";
  made.chat_template.clear();
  made.ranks = true;
  made.shares = false;
  return SKERRY_OK;
}

std::uint32_t pair(skerry_model* model,
                   skerry_str query,
                   skerry_str document,
                   std::int32_t* tokens,
                   std::size_t capacity,
                   std::size_t* count,
                   skerry_error* error) try {
  if (!model->ranks) {
    return fail(error, SKERRY_E_UNSUPPORTED, "this model does not rank documents");
  }
  Tokens found;
  const bool written = model->rank_template.empty()
                           ? join(*model, view(query), view(document), found)
                           : fill_template(*model, view(query), view(document), found);
  if (!written) {
    return fail(error, SKERRY_E_INVALID, "the text is too long");
  }
  *count = found.size();
  if (found.size() <= capacity) {
    std::copy(found.begin(), found.end(), tokens);
  }
  return SKERRY_OK;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory while reading a query and a document");
} catch (const std::exception& exception) {
  // The BPE tokenizers throw on text that is not UTF-8.
  return fail(error, SKERRY_E_INVALID, std::string{"tokenizing the text: "} + exception.what());
}

const float* relevance(skerry_model& model, std::size_t index) {
  if (model.relevances[index] == kNotWanted) {
    return nullptr;
  }
  const float* const outputs =
      llama_get_embeddings_seq(model.context.get(), model.batch->seq_id[index][0]);
  if (outputs == nullptr) {
    return nullptr;
  }
  model.relevances[index] =
      model.rank_is_share ? outputs[0] : 1.0F / (1.0F + std::exp(-outputs[0]));
  return &model.relevances[index];
}

}  // namespace skerry_llama
