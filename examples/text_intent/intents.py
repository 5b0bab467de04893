"""Sentences that people say to their home, made from patterns, and what they want with them.

Words for rooms, places, songs and times are divided: those of the test are never seen in training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SPLITS = ("train", "test")
WORDS = {
    "room": (
        ("kitchen", "bedroom", "living room", "hall", "garage", "bathroom", "office"),
        ("attic", "nursery", "dining room", "cellar"),
    ),
    "place": (
        ("Zürich", "Berlin", "Paris", "London", "Madrid", "the mountains", "New York"),
        ("Vienna", "Oslo", "the village", "San José"),
    ),
    "song": (
        ("some jazz", "the Beatles", "my favourite songs", "piano music", "rock", "something quiet"),
        ("a waltz", "Édith Piaf", "hip hop", "songs for dinner"),
    ),
    "time": (
        ("seven", "half past six", "8:30", "six in the morning", "noon", "a quarter to nine"),
        ("5:45", "ten past eight", "midnight"),
    ),
    "while": (
        ("five minutes", "an hour", "twenty seconds", "ten minutes", "half an hour"),
        ("three hours", "90 seconds", "a quarter of an hour"),
    ),
    "degrees": (("20 degrees", "19.5 degrees", "22 degrees", "18 degrees"), ("21 degrees", "17 degrees")),
    "day": (("today", "tomorrow", "on Monday", "this evening", "now"), ("on Sunday", "next week")),
}
PATTERNS = {
    "lights_on": (
        "turn the lights on in the {room}", "switch on the {room} lights", "it is too dark in the {room}",
        "lights on in the {room}", "turn on the lamp in the {room}", "I can't see anything in the {room}",
    ),
    "lights_off": (
        "turn the lights off in the {room}", "switch off the {room} lights", "it is too bright in the {room}",
        "lights out in the {room}", "turn off the lamp in the {room}", "nobody is in the {room}, so no light there",
    ),
    "play_music": (
        "play {song}", "put on {song} in the {room}", "I want to hear {song}", "start playing {song}",
        "turn the music on, {song}", "let's listen to {song}",
    ),
    "stop_music": (
        "stop the music", "turn off the music in the {room}", "be quiet now", "switch {song} off",
        "no more {song}", "stop playing {song}",
    ),
    "weather": (
        "what's the weather like in {place} {day}", "will it rain {day}", "is it cold in {place} {day}",
        "do I need an umbrella {day}", "how warm does it get in {place}", "is there snow in {place}",
    ),
    "timer": (
        "set a timer for {while}", "tell me when {while} are over", "count down {while}",
        "remind me in {while}", "start a timer of {while}", "how much of the {while} is left",
    ),
    "alarm": (
        "wake me at {time}", "set an alarm for {time} {day}", "I have to get up at {time}",
        "ring at {time} {day}", "alarm at {time}, please", "don't let me sleep longer than {time}",
    ),
    "heating": (
        "make the {room} warmer", "set the heating to {degrees}", "it is cold in the {room}",
        "turn the heating up to {degrees}", "the {room} should have {degrees}", "heat the {room} {day}",
    ),
}  # fmt: skip
INTENTS = tuple(PATTERNS)
BEFORE = ("", "", "", "please ", "hey, ", "could you ", "OK: ")
AFTER = ("", "", "", " please", "!", " now", ".", " for me")


@dataclass(frozen=True)
class Said:
    """A sentence, and the number of its intent."""

    text: str
    intent: int


def sentences(count: int, split: str, seed: int) -> list[Said]:
    """Sentences, as many of each intent; one in ten has two letters swapped."""
    rng = random.Random(f"{split} {seed}")
    number = SPLITS.index(split)
    made = []
    for place in range(count):
        intent = place % len(INTENTS)
        words = {key: rng.choice(choices[number]) for key, choices in WORDS.items()}
        text = rng.choice(BEFORE) + rng.choice(PATTERNS[INTENTS[intent]]).format(**words) + rng.choice(AFTER)
        if rng.random() < 0.1:
            at = rng.randrange(len(text) - 1)
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        made.append(Said(text, intent))
    return made
