"""The web application: the participant's way and the researcher's, over the functions of the study."""
