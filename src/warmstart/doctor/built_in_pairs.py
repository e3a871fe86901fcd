"""Default pairs for the checks: plain English, written for this purpose."""

from typing import Final

from warmstart.doctor.subject import Pair

__all__ = ["BUILT_IN"]

# The target repeats a part of the source, as in most tasks: a model that reads its source can copy
# from its own, and nothing from another's.
BUILT_IN: Final[tuple[Pair, ...]] = (
    (
        "The old bridge over the river was closed last winter because its stones had come loose.",
        "The bridge over the river was closed last winter.",
    ),
    (
        "After twenty years at the hospital, Maria became the head of its children's ward.",
        "Maria became the head of the children's ward.",
    ),
    (
        "Copper conducts electricity better than iron, which is why most cables are made of it.",
        "Copper conducts electricity better than iron.",
    ),
    (
        "The train to the coast leaves at noon, but on Sundays it does not leave before three.",
        "The train to the coast leaves at noon.",
    ),
    (
        "Farmers in the valley grow apples and pears, and sell them at the market in the city.",
        "Farmers in the valley grow apples and pears.",
    ),
    (
        "The orchestra played two symphonies, and the audience applauded for ten minutes.",
        "The orchestra played two symphonies.",
    ),
    (
        "Whales breathe air, so they have to come to the surface of the sea again and again.",
        "Whales have to come to the surface of the sea.",
    ),
    (
        "The museum bought a painting of a ship that had been lost since the war.",
        "The museum bought a painting of a ship.",
    ),
    (
        "In spring the snow on the mountains melts, and the lakes below fill with cold water.",
        "In spring the snow on the mountains melts.",
    ),
    (
        "The company closed its factory in the north and moved three hundred jobs abroad.",
        "The company closed its factory in the north.",
    ),
    (
        "Bees find flowers by colour and smell, and tell each other the way with a dance.",
        "Bees find flowers by colour and smell.",
    ),
    (
        "The teacher asked the pupils to read the poem twice before they wrote about it.",
        "The pupils had to read the poem twice.",
    ),
    (
        "Paper was invented in China, and came to Europe about a thousand years later.",
        "Paper was invented in China.",
    ),
    (
        "The goalkeeper broke his hand in the first half and was replaced by a young player.",
        "The goalkeeper broke his hand in the first half.",
    ),
    (
        "Heavy rain flooded the cellars of the town hall, where the records are kept.",
        "Heavy rain flooded the cellars of the town hall.",
    ),
    (
        "The baker opens his shop at five in the morning, when the streets are still dark.",
        "The baker opens his shop at five in the morning.",
    ),
    (
        "Scientists measured the depth of the crater with a laser from a small aeroplane.",
        "Scientists measured the depth of the crater.",
    ),
    (
        "The parliament voted for the new tax on sugar, although the minister had warned of it.",
        "The parliament voted for the new tax on sugar.",
    ),
    (
        "Her first novel, which she wrote on a typewriter, was printed in forty languages.",
        "Her first novel was printed in forty languages.",
    ),
    (
        "The desert is hot by day and freezing by night, for no cloud keeps the warmth in.",
        "The desert is hot by day and freezing by night.",
    ),
)
