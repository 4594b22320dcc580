#pragma once

// What a sequence does with the results of an EmbedRequest: embeddings of texts, or how relevant
// documents are to a query.

#include <cstddef>

#include "sequence.hpp"

namespace skerry::runtime {

// Takes in the rows [first, first + count) of the batch, which are counted as computed already, and
// goes on to the next text.
Verdict take_embeddings(
    Sequence& sequence, Embedding& work, StepEngine& engine, std::size_t first, std::size_t count);

}  // namespace skerry::runtime
