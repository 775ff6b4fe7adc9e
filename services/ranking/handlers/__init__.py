"""The use-cases of ranking: counting outcomes, folding them into the tables, keeping the boards, answering from them."""
